"The pieces of this project as texts: their Hy source, the Hy it is once macros are expanded, and
the Python it becomes. Nothing is imported to find a piece, so this loads no torch; hyrule is
loaded only to expand its macros."

(import  ast
         dataclasses [dataclass]
         difflib [get-close-matches]
         functools [cache]
         pathlib [Path]
         re
         textwrap
         types [ModuleType]
         hy.compiler [hy-compile HyASTCompiler]
         hy.models [Dict Expression Keyword List Set String Symbol Tuple]
         nanogpt-hy.config [nearest]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.tracing [expanded head-name is-atom])

(setv HOME (. (Path __file__) parent parent))
;; Where a name is looked for first: the rings, from the inside outwards.
(setv RINGS ["notation" "config" "errors" "tracing" "course" "ladder" "fast" "lab" "lessons"])
;; A definition that starts a line: what defines it, and, after decorators or a type, its name.
(setv DEFINITION (re.compile (+ r"^\((defn|defclass|deflayer|defmacro|setv)\s+(?::async\s+)?"
                                r"(?:\[.*?\]\s+)?(?:#\^\s*\S+\s+)?([^\s()\[\]{}\"#:]+)")
                             re.MULTILINE))
(setv DOCSTRING (re.compile r"\s*(?:\"(?:[^\"\\]|\\.)*\")?" re.DOTALL))
;; What has to be known about a file before a part of it can be compiled.
(setv MACROS (re.compile r"^\((eval-when-compile|eval-and-compile|require|defmacro)\s"
                         re.MULTILINE))

(defclass [(dataclass :frozen True)] Piece []
  "One thing that can be shown. FORMS are its forms as read; METHOD is set if it is a method, whose
  class FORMS then holds."
  #^ str name
  #^ Path path
  #^ int line
  #^ str text
  #^ list forms
  (setv #^ str method ""))


;;; Finding a piece

(defn module-name [path]
  "path -> \"course.s08-head\", or \"course\" for its contents page"
  (setv parts (. (.with-suffix (.relative-to path HOME) "") parts))
  (.removesuffix (.join "." (map hy.unmangle parts)) ".__init__"))

(defn module-paths []
  "All Hy files of the project, in the order of the rings."
  (defn ring [path]
    (setv [first #* _] (.split (module-name path) "."))
    #((if (in first RINGS) (.index RINGS first) (len RINGS)) path))
  (sorted (gfor  path (.rglob HOME "*.hy")  :if (. (.stat path) st-size)  path) :key ring))

(defn definitions []
  "[path name offset] of everything that is defined, in the order of the rings."
  (lfor  path (module-paths)
         :setv text (.read-text path :encoding "utf-8")
         found (.finditer DEFINITION text (.end (.match DOCSTRING text)))
         [path (get found 2) (.start found)]))

(defn public-names []
  "What can be shown: the modules, and the public names in them, the innermost ring's first."
  (setv names (gfor  [_ name _] (definitions)  :if (not (.startswith name "_"))  name))
  (list (dict.fromkeys [#* (map module-name (module-paths)) #* names])))

(defn unknown [name]
  "The error for a NAME that nothing has."
  (setv near (get-close-matches name (public-names) 1 0.6))
  (RequestError (+ f"there is no {name !r} to show; "
                   (if near
                       f"did you mean {(get near 0)}?"
                       "say a name such as attend, Head.forward, lab.trainer, s08 or stage.head"))))

(defn is-module [path words]
  "Whether WORDS, as [\"lab\" \"trainer\"] or [\"s08\"], mean the module at PATH."
  (setv parts (.split (module-name path) "."))
  (or (not words)
      (= (cut parts (- (len words)) None) words)
      (and (= (len words) 1) (in "course" parts)
           (= (get (.split (get parts -1) "-") 0) (get words 0)))))

(defn named [words]
  "[path name offset] of the definitions meant by WORDS: a name, perhaps after its module's."
  (setv [#* module name] words
        all (lfor  entry (definitions)  :if (is-module (get entry 0) module)  entry)
        found (lfor  entry all  :if (= (get entry 1) name)  entry))
  (or found (lfor  entry all  :if (= (.lower (get entry 1)) (.lower name))  entry)))

(defn the-one [found name]
  "The one definition meant; the course's comes first, as nothing in it has its name twice."
  (when (and (> (len found) 1) (!= (module-name (get found 0 0)) "notation")
             (not (.startswith (module-name (get found 0 0)) "course.")))
    (setv places (sorted (sfor  [path own _] found  f"{(module-name path)}.{own}")))
    (when (> (len places) 1)
      (raise (RequestError f"{name} is in several modules: say {(.join " or " places)}"))))
  (get found 0))

(defn find-piece [name]
  "The piece called NAME: a function, layer, class, method, macro, constant, module or stage of the
  ladder, such as attend, Head, GPT.forward, lab.trainer, s08, PRESETS, stage.head."
  (setv words (lfor  word (.split (.replace (.strip name) " " "."))  word)
        words (lfor  word (.split (.removeprefix (.join "." words) "nanogpt_hy.") ".")
                     (hy.unmangle word))
        words (if (= (cut words 1) ["nanogpt-hy"]) (cut words 1 None) words)
        modules (lfor  path (module-paths)  :if (and (any words) (is-module path words))  path))
  (cond
    (= (get words 0) "stage")          (stage-piece (.join "-" (cut words 1 None)))
    modules                            (module-piece (get modules 0))
    (named words)                      (definition-piece (the-one (named words) name))
    (and (> (len words) 1) (named (cut words -1)))
      (method-piece (definition-piece (the-one (named (cut words -1)) name)) (get words -1))
    True
      (raise (unknown name))))

(defn module-piece [path]
  "The whole file."
  (setv text (.read-text path :encoding "utf-8"))
  (Piece (module-name path) path 1 text (list (hy.read-many text))))

(defn definition-piece [entry]
  "What is defined at [path name offset], with the comment right above it."
  (setv [path name offset] entry
        text (.read-text path :encoding "utf-8")
        form (hy.read (cut text offset None))
        start (comment-start text offset))
  (Piece name path (+ 1 (.count text "\n" 0 start))
         (+ (cut text start offset) (form-text (cut text offset None) form))
         [form]))

(defn comment-start [text offset]
  "Where the comment begins whose lines end right before OFFSET; OFFSET if there is none."
  (setv lines (.splitlines (cut text offset) :keepends True))
  (while (and lines (.startswith (get lines -1) ";"))
    (setv offset (- offset (len (.pop lines)))))
  offset)

(defn form-text [text form [key None]]
  "The text of FORM, read from TEXT, with the comment in its last line and without the brackets
  that close what is around it. KEY is the form to begin with, if it is another."
  (setv key (or key form)
        lines (cut (.splitlines text) (- key.start-line 1) form.end-line)
        last (get lines -1)
        comment (re.fullmatch r"\)*(\s*;.*)?\s*" (cut last form.end-column None)))
  (setv (get lines -1) (+ (cut last form.end-column)
                          (if comment (or (get comment 1) "") "")))
  (setv indent (- key.start-column 1)
        (get lines 0) (+ (* " " indent) (cut (get lines 0) indent None)))
  (textwrap.dedent (.join "\n" lines)))

(defn defined-name [form]
  "(defn [decorators] name ...) or, in a layer, (name ...) -> its name."
  (setv rest (if (in (head-name form) ["defn" "defclass" "deflayer" "defmacro"])
                 (cut form 1 None)
                 form))
  (for [part rest]
    (when (and (= (head-name part) "annotate") (isinstance (get part 1) Symbol))
      (return (str (get part 1))))
    (when (isinstance part Symbol)
      (return (str part)))))

(defn methods [form]
  "The methods in the form of a class or layer."
  (setv in-class (= (head-name form) "defclass"))
  (lfor  part (cut form 3 None)
         :if (and (isinstance part Expression) part
                  (= in-class (= (head-name part) "defn")))
         part))

(defn method-piece [piece name]
  "The method NAME of the class in PIECE, or of what that inherits from."
  (setv [form] piece.forms
        above (comment-lines piece.text)
        found (lfor  part (methods form)  :if (= (defined-name part) name)  part)
        bases (if (= (head-name form) "defclass") (lfor  base (get form 2)  (str base)) []))
  (when found
    (setv line (+ piece.line (.count (cut piece.text above) "\n") (. (get found 0) start-line) -1)
          text (form-text (cut piece.text above None) (get found 0)))
    (return (Piece f"{piece.name}.{name}" piece.path line text piece.forms name)))
  (for [base bases]
    (when (named [base])
      (return (method-piece (find-piece base) name))))
  (setv names (lfor  part (methods form)  (defined-name part)))
  (raise (RequestError (+ f"{piece.name} has no method {name} of its own; "
                          (if names (nearest name names) "it has none")))))

(defn comment-lines [text]
  "How many characters of TEXT are the comment above its form."
  (len (get (re.match r"(;[^\n]*\n)*" text) 0)))

(defn stage-piece [name]
  "A line of the ladder's table, by the stage's name."
  (setv piece (find-piece "ladder.STAGES")
        [form] piece.forms
        table (get form 2)
        stages (dfor  [key value] (in-pairs table)  (str key) [key value]))
  (when (not-in name stages)
    (raise (RequestError f"there is no stage {name !r}; {(nearest name (list stages))}")))
  (setv [key value] (get stages name)
        above (comment-lines piece.text))
  (Piece f"stage {name}" piece.path
         (+ piece.line (.count (cut piece.text above) "\n") key.start-line -1)
         (form-text (cut piece.text above None) value key) [value]))


;;; As Hy, and as expanded Hy

(defn source-of [name]
  "The Hy source of the piece called NAME, as it stands in its file, comments included."
  (. (find-piece name) text))

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

(setv BODY-AFTER {"defn" 2  "defclass" 2  "deflayer" 2  "defmacro" 2  "fn" 1  "with" 1  "for" 1
                  "when" 1  "while" 1  "let" 1  "do" 0  "try" 0  "except" 1  "eval-when-compile" 0})

(defn flat [form]
  "form -> its text in one line; a string alone, as docstrings are, keeps its lines."
  (if (isinstance form String)
      (+ "\"" (.replace (.replace (str form) "\\" "\\\\") "\"" "\\\"") "\"")
      (.removeprefix (hy.repr form) "'")))

(setv PREFIXES {"quote" "'"  "quasiquote" "`"  "unquote" "~"  "unquote-splice" "~@"
                "unpack-iterable" "#* "  "unpack-mapping" "#** "})

(defn pretty [form [column 0] [width 90]]
  "form -> its text, broken into lines where it is wider than WIDTH, from COLUMN on."
  (setv text (flat form)
        head (head-name form))
  (cond
    (and (or (is-atom form) (<= (+ column (len text)) width))
         (not-in head ["defn" "defclass" "deflayer" "quote" "quasiquote"]))  text
    (in head PREFIXES) (+ (get PREFIXES head)
                          (pretty (get form 1) (+ column (len (get PREFIXES head))) width))
    (isinstance form Expression)  (pretty-call form column width)
    (isinstance form #(List Tuple Dict Set))  (pretty-items form column width)
    True  text))

(defn pretty-items [form column width]
  "[a b], #(a b), #{a b} or {a b} -> its text, one below the other."
  (setv [open close] (get {List "[]"  Tuple ["#(" ")"]  Dict "{}"  Set ["#{" "}"]} (type form))
        groups (if (isinstance form Dict) (in-pairs form) (in-groups form)))
  (+ open (stacked groups (+ column (len open)) width) close))

(defn pretty-call [form column width]
  "(head first ...) -> its text: a body goes two columns in, arguments one below the other, or two
  columns in as well where they would stand too far to the right."
  (setv [head #* rest] form
        start (+ "(" (flat head))
        name (head-name form)
        kept (.get BODY-AFTER name (if (> (+ column (len start)) (/ width 2)) 0 None))
        kept (if (and (= name "defn") (isinstance (get rest 0) List)) 3 kept)
        groups (if (= name "setv") (in-pairs rest) (in-groups rest)))
  (if (is kept None)
      (+ start " " (stacked groups (+ column (len start) 1) width) ")")
      (+ (.join " " [start #* (gfor  part (cut rest kept)
                                     (pretty part (+ column (len start)) width))])
         "\n" (* " " (+ column 2))
         (stacked (in-groups (cut rest kept None)) (+ column 2) width) ")")))

(defn stacked [groups column width]
  "Groups of forms one below the other, from COLUMN on."
  (.join (+ "\n" (* " " column)) (gfor  group groups  (pretty-group group column width))))

(defn pretty-group [group column width]
  "Forms side by side: a name and its value."
  (setv texts [])
  (for [form group]
    (.append texts (pretty form (+ column (sum (gfor  text texts  (+ 1 (len text))))) width)))
  (.join " " texts))

(defn in-pairs [forms]
  (lfor  i (range 0 (len forms) 2)  (cut forms i (+ i 2))))

(defn in-groups [forms]
  "forms -> groups: a :keyword stays with its value."
  (setv groups [])
  (for [form forms]
    (if (and groups (= (len (get groups -1)) 1) (isinstance (get groups -1 0) Keyword))
        (.append (get groups -1) form)
        (.append groups [form])))
  groups)


;;; As Python

(defclass Tidy [ast.NodeTransformer]
  "Python as it would be typed: x[:n] for x[slice(n)], no values kept that nobody uses, docstrings
  indented. What it does stays the same."

  (defn __init__ [self tree]
    (setv self.used (sfor  node (ast.walk tree)
                           :if (and (isinstance node ast.Name) (isinstance node.ctx ast.Load))
                           node.id)
          self.depth 0))

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

  (defn visit-FunctionDef [self node] (.indented self node))
  (defn visit-AsyncFunctionDef [self node] (.indented self node))
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

(defn as-python [tree]
  "tree of Python -> its text, tidied; `import hy` first if it is needed."
  (setv tree (ast.fix-missing-locations (.visit (Tidy tree) tree))
        text (ast.unparse tree)
        needs-hy (any (gfor  node (ast.walk tree)
                             (and (isinstance node ast.Name) (= node.id "hy")))))
  (if (and needs-hy (isinstance tree ast.Module)) (with-hy tree) text))

(defn with-hy [tree]
  "The module's text with `import hy` after its docstring."
  (setv at (if (ast.get-docstring tree) 1 0))
  (.insert tree.body at (ast.Import [(ast.alias "hy")]))
  (ast.unparse (ast.fix-missing-locations tree)))

(defn twin-of-module [path]
  "The Python module that the Hy file at PATH becomes: it does the same and needs no macros."
  (setv path (Path path)
        module (ModuleType path.stem))
  (setv module.__file__ (str path))
  (as-python (hy-compile (hy.read-many (.read-text path :encoding "utf-8") :filename (str path))
                         module :import-stdlib False)))

(defn python-of [name]
  "The Python that the piece called NAME becomes."
  (setv piece (find-piece name))
  (when (= piece.name (module-name piece.path))
    (return (twin-of-module piece.path)))
  (setv [form] piece.forms
        tree (hy-compile form (macro-module piece.path) :import-stdlib False))
  (when piece.method
    (setv [own #* _] (lfor  node (ast.walk tree)
                            :if (and (isinstance node #(ast.FunctionDef ast.AsyncFunctionDef))
                                     (= node.name (hy.mangle piece.method)))
                            node)
          tree (ast.Module [own] [])))
  (ast.unparse (ast.fix-missing-locations (.visit (Tidy tree) tree))))


;;; Showing

(setv NARROW 55)      ; columns that a text needs at least to stand beside another

(defn show-piece [name * [python False] [macroexpand False] [console None]]
  "Print the source of the piece called NAME, beside or above its expansion and its Python.
  Highlighted in a terminal or a notebook, plain and whole elsewhere."
  (import rich.console [Console])
  (setv console (or console (Console))
        piece (find-piece name)
        where f"{(.as-posix (.relative-to piece.path HOME.parent))}, line {piece.line}"
        texts [[where "hylang" piece.text]])
  (when macroexpand
    (.append texts [f"{piece.name}, macros expanded" "hylang" (expansion-of name)]))
  (when python
    (.append texts [f"{piece.name} in Python" "python" (python-of name)]))
  (if (or console.is-terminal console.is-jupyter)
      (show-highlighted texts console)
      (show-plain texts console)))

(defn show-plain [texts console]
  "Each text under a comment that says what it is, so that it can be used as a file."
  (for [[i [title language text]] (enumerate texts)]
    (setv mark (if (= language "python") "#" ";;"))
    (.write console.file (+ (if i "\n" "") f"{mark} {title}\n{(.rstrip text "\n")}\n"))))

(defn colours []
  "What each kind of word looks like, in colours that light and dark terminals choose themselves."
  (import pygments.token [Comment Keyword Name Number Operator String Token]
          rich.style [Style])
  {Token          (Style)
   Comment        (Style :dim True :italic True)
   Keyword        (Style :color "blue" :bold True)
   Name.Builtin   (Style :color "blue")
   Operator.Word  (Style :color "blue")
   Number         (Style :color "cyan")
   String         (Style :color "green")
   String.Symbol  (Style :color "magenta")})

(defn show-highlighted [texts console]
  "The texts in colours, side by side if there is room."
  (import rich.console [Group]
          rich.syntax [ANSISyntaxTheme Syntax]
          rich.table [Table]
          rich.text [Text])
  (setv theme (ANSISyntaxTheme (colours))
        blocks (lfor  [title language text] texts
                      (Group (Text title :style "dim")
                             (Syntax (.rstrip text "\n") language :theme theme :word-wrap True)
                             "")))
  (if (>= console.width (* NARROW (len texts)))
      (do
        (setv table (Table.grid :expand True :padding #(0 2 0 0)))
        (for [_ texts]
          (.add-column table :ratio 1))
        (.add-row table #* blocks)
        (.print console table))
      (.print console #* blocks :sep "")))
