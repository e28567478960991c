"A piece of this project as Hy, as Hy with its macros expanded, and as the Python it becomes.

Nothing is imported for it but the macros, hyrule's among them, so this loads no torch."

(import  ast
         functools [cache]
         pathlib [Path]
         re
         types [ModuleType]
         hy.compiler [hy-compile HyASTCompiler]
         hy.models [Dict Expression List Set Tuple]
         nanogpt-hy.lab.lisp.finding [defined-name find-piece methods module-name]
         nanogpt-hy.lab.lisp.layout [pretty]
         nanogpt-hy.lab.lisp.tidy-python [tidied with-hy]
         nanogpt-hy.forms [expanded head-name])

;; What has to be known about a file before a part of it can be compiled.
(setv MACROS (re.compile r"^\((eval-when-compile|eval-and-compile|require|defmacro)\s"
                         re.MULTILINE))

(defn source-of [name]
  "The Hy source of the piece called NAME, as it stands in its file, comments included."
  (. (find-piece name) text))


;;; With its macros expanded

(defn [cache] macro-module [path]
  "A module that knows the macros of the file at PATH, and nothing else. Only what the file does
  while it is compiled is done. It stands outside the package, which would load torch."
  (setv text (.read-text path :encoding "utf-8")
        module (ModuleType path.stem))
  (setv module.__file__ (str path))
  (for [found (.finditer MACROS text)]
    (hy-compile (hy.read (cut text (.start found) None)) module :import-stdlib False))
  module)

(defn expand [form compiler]
  "form -> form in which no macro is left, but for those that are Hy itself."
  (setv form (expanded form compiler))
  (if (and (isinstance form #(Expression List Tuple Dict Set))
           (not-in (head-name form) ["quote" "quasiquote" "eval-when-compile" "defmacro"]))
      ((type form) (gfor  part form  (expand part compiler)))
      form))

(defn expansion-of [name]
  "The piece called NAME with its macros expanded, as Hy. Comments are lost."
  (setv piece (find-piece name)
        compiler (HyASTCompiler (macro-module piece.path))
        forms (lfor  form piece.forms  (expand form compiler)))
  (when piece.method
    (setv forms (lfor  form forms
                       part (methods form)
                       :if (= (hy.unmangle piece.method) (defined-name part))
                       part)))
  (.join "\n\n" (gfor  form forms  (pretty form))))


;;; As Python

(defn twin-of-module [path]
  "The Python module that the Hy file at PATH becomes: it does the same and needs no macros."
  (setv path (Path path)
        forms (hy.read-many (.read-text path :encoding "utf-8") :filename (str path))
        module (ModuleType path.stem))
  (setv module.__file__ (str path))
  (with-hy (tidied (hy-compile forms module :import-stdlib False))))

(defn python-of [name]
  "The Python that the piece called NAME becomes."
  (setv piece (find-piece name))
  (when (= piece.name (module-name piece.path))
    (return (twin-of-module piece.path)))
  (setv [form] piece.forms
        tree (hy-compile form (macro-module piece.path) :import-stdlib False))
  (when piece.method
    (setv [own #* _] (lfor  node (ast.walk tree)
                            :if (and (isinstance node ast.FunctionDef)
                                     (= node.name (hy.mangle piece.method)))
                            node)
          tree (ast.Module [own] [])))
  (ast.unparse (tidied tree)))
