"The Python that Hy compiles to, made tidy: it does the same and reads as if it had been typed."

(import  ast)

(defclass Tidy [ast.NodeTransformer]
  "Python as it would be typed: x[:n] for x[slice(n)], no values kept that nobody uses, docstrings
  indented. What it does stays the same."

  (defn __init__ [self tree]
    (setv self.used (sfor  node (ast.walk tree)
                           :if (and (isinstance node ast.Name) (isinstance node.ctx ast.Load))
                           node.id)
          self.depth 0))

  (defn generic-visit [self node]
    "What is in NODE, and of its body no pass that is not all of it."
    (.generic-visit (super) node)
    (setv body (getattr node "body" None))
    (when (and body (isinstance body list))
      (setv node.body (or (lfor  part body  :if (not (isinstance part ast.Pass))  part)
                          [(ast.Pass)])))
    node)

  (defn visit-Subscript [self node]
    (.generic-visit self node)
    (if (isinstance node.slice ast.Tuple)
        (setv node.slice.elts (list (map as-slice node.slice.elts)))
        (setv node.slice (as-slice node.slice)))
    node)

  (defn visit-Assign [self node]
    (.generic-visit self node)
    (setv [target #* _] node.targets)
    (cond
      (not (and (isinstance target ast.Name) (.startswith target.id "_hy_anon")
                (not-in target.id self.used)))  node
      (isinstance node.value ast.Constant)      (ast.Pass)
      True                                      (ast.Expr node.value)))

  (defn visit-If [self node]
    "An else branch in which nothing is done is none."
    (.generic-visit self node)
    (when (all (gfor  part node.orelse  (isinstance part ast.Pass)))
      (setv node.orelse []))
    node)

  (defn indented [self node]
    (setv self.depth (+ self.depth 1))
    (.generic-visit self node)
    (setv text (ast.get-docstring node))
    (when text
      (setv (. node body [0] value value)
            (.replace text "\n" (+ "\n" (* "    " self.depth)))))
    (setv self.depth (- self.depth 1))
    node)

  (defn visit-FunctionDef [self node]
    "A function; __init__ gives nothing, so the value of its last form is none to be returned."
    (setv last (get node.body -1))
    (when (and (= node.name "__init__") (isinstance last ast.Return) last.value)
      (setv (get node.body -1) (ast.Expr last.value)))
    (.indented self node))
  (defn visit-ClassDef [self node] (.indented self node)))

(defn is-slice-call [node]
  (and (isinstance node ast.Call) (isinstance node.func ast.Name) (= node.func.id "slice")
       (not node.keywords) (not (any (gfor  part node.args  (isinstance part ast.Starred))))))

(defn as-slice [index]
  "slice(None, n) -> :n; anything else as it was."
  (setv parts (cond
                (isinstance index ast.Slice)              [index.lower index.upper index.step]
                (not (is-slice-call index))               (return index)
                (= (len index.args) 1)                    [None #* index.args]
                True                                      index.args)
        parts (lfor  part parts
                     (if (and (isinstance part ast.Constant) (is part.value None)) None part)))
  (ast.Slice #* parts #* (* [None] (- 3 (len parts)))))

(defn tidied [tree]
  "tree of Python -> the same, as it would be typed."
  (ast.fix-missing-locations (.visit (Tidy tree) tree)))

(defn with-hy [tree]
  "tree of a module -> its text, with `import hy` after the docstring if it is needed."
  (when (any (gfor  node (ast.walk tree)  (and (isinstance node ast.Name) (= node.id "hy"))))
    (.insert tree.body (if (ast.get-docstring tree) 1 0) (ast.Import [(ast.alias "hy")])))
  (ast.unparse (ast.fix-missing-locations tree)))
