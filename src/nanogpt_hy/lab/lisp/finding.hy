"The pieces of this project, found by name as they stand in their files.

Nothing is imported to find a piece, so this loads no torch."

(import  dataclasses [dataclass]
         difflib [get-close-matches]
         pathlib [Path]
         re
         textwrap
         hy.models [Expression Symbol]
         nanogpt-hy.config [nearest]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.lisp.layout [in-pairs]
         nanogpt-hy.forms [head-name])

(setv HOME  (. (Path __file__) parent parent parent)
      ;; Where a name is looked for first: the rings, from the inside outwards.
      RINGS ["notation" "config" "errors" "forms" "tracing" "course" "ladder" "fast"
             "products" "recording" "backprop" "inference" "kv-cache" "lab" "lessons"])

;; A definition that starts a line: what defines it, and, after decorators or a type, its name.
(setv DEFINITION (re.compile (+ r"^\((defn|defclass|deflayer|defmacro|setv)\s+"
                                r"(?:\[(?:[^\[\]]|\[[^\]]*\])*\]\s+)?(?:#\^\s*\S+\s+)?"
                                r"([^\s()\[\]{}\"#:]+)")
                             re.MULTILINE))

(setv CONSTANT (re.compile r"^ {6}([A-Z][A-Z\d-]*)\s" re.MULTILINE))

(setv DOCSTRING (re.compile r"\s*(?:\"(?:[^\"\\]|\\.)*\")?" re.DOTALL))

(defclass [(dataclass :frozen True)] Piece []
  "One thing that can be shown. FORMS are its forms as read; METHOD is set if it is a method, whose
  class FORMS then holds."
  #^ str name
  #^ Path path
  #^ int line
  #^ str text
  #^ list forms
  (setv #^ str method ""))


;;; The names

(defn module-name [path]
  "path -> \"course.s08-head\", or \"course\" for its contents page"
  (setv parts (. (.with-suffix (.relative-to path HOME) "") parts))
  (.removesuffix (.join "." (map hy.unmangle parts)) ".__init__"))

(defn module-paths []
  "All Hy files of the project, in the order of the rings."
  (defn ring [path]
    (setv [first #* _] (.split (module-name path) "."))
    #((if (in first RINGS) (.index RINGS first) (len RINGS)) path))
  (sorted (.rglob HOME "*.hy") :key ring))

(defn definitions []
  "[path name offset] of everything that is defined, in the order of the rings."
  (lfor  path (module-paths)
         :setv text (.read-text path :encoding "utf-8")
         found (.finditer DEFINITION text (.end (.match DOCSTRING text)))
         name [(get found 2) #* (other-constants text found)]
         [path name (.start found)]))

(defn other-constants [text found]
  "The names below the first in the setv FOUND in TEXT; none of another definition."
  (if (= (get found 1) "setv")
      (.findall CONSTANT (get (.partition (cut text (.end found) None) "\n\n") 0))
      []))

(defn public-names []
  "What can be shown: the modules, and the public names in them, the innermost ring's first."
  (setv names (gfor  [_ name _] (definitions)  :if (not (.startswith name "_"))  name))
  (list (dict.fromkeys [#* (map module-name (module-paths)) #* names])))

(defn unknown [name]
  "The error for a NAME that nothing has."
  (setv steps  (dfor  path (module-paths)
                      :setv found (re.fullmatch r"(s\d\d)_(\w+)" path.stem)  :if found
                      (.replace (get found 2) "_" "-") (get found 1))
        stages (dfor  stage (get (stage-table) 1)  stage f"stage.{stage}")
        near   (or (lfor  names [stages steps]  :if (in name names)  (get names name))
                   (get-close-matches name (public-names) 1 0.6)))
  (RequestError (+ f"there is no {name !r} to show; "
                   (if near
                       f"did you mean {(get near 0)}?"
                       "say a name such as attend, Head.forward, trainer.steps or s08"))))

(defn is-module [path words]
  "Whether WORDS, as [\"lab\" \"trainer\"] or [\"s08\"], mean the module at PATH."
  (setv parts (.split (module-name path) "."))
  (or (not words)
      (= (cut parts (- (len words)) None) words)
      (and (= (len words) 1) (in "course" parts)
           (= (get (.split (get parts -1) "-") 0) (get words 0)))))

(defn is-within [path words]
  "Whether the module at PATH lies in the folder that WORDS mean, as [\"course\"]."
  (= (cut (.split (module-name path) ".") (len words)) words))

(defn named [words]
  "[path name offset] of the definitions meant by WORDS: a name, perhaps after that of its module
  or of the folder in which that is."
  (setv [#* place name] words
        all (lfor  entry (definitions)
                   :if (or (is-module (get entry 0) place) (is-within (get entry 0) place))
                   entry)
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


;;; The pieces

(defn step-name [name]
  "str -> str: s08 for 8, s8 and step 8; any other name as it is
  ; (step-name \"8\") => \"s08\""
  (setv found (re.fullmatch r"(?:s|step\s+)?(\d\d?)" name))
  (if found f"s{(get found 1) :0>2}" name))

(defn find-piece [name]
  "The piece called NAME: a function, layer, class, method, macro, constant, module or stage of the
  ladder, such as attend, Head, GPT.forward, trainer.steps, s08, PRESETS, stage.head."
  (setv name  (step-name name)
        words (lfor  word (re.split r"[\s.]+" name)  :if word  (hy.unmangle word))
        words (if (= (cut words 1) ["nanogpt-hy"]) (cut words 1 None) words)
        taught  (if (= (len words) 1) (named ["course" #* words]) [])
        modules (lfor  path (module-paths)  :if (and words (is-module path words))  path))
  (cond
    (not words)                        (raise (unknown name))
    (= (get words 0) "stage")          (stage-piece (.join "-" (cut words 1 None)))
    taught                             (definition-piece (the-one taught name))
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

(defn stage-table []
  "-> Piece, {name: [key value]}: the ladder's table, as it is written."
  (setv piece (find-piece "ladder.STAGES")
        [form] piece.forms)
  [piece (dfor  [key value] (in-pairs (get form 2))  (str key) [key value])])

(defn stage-piece [name]
  "A line of the ladder's table, by the stage's name."
  (setv [piece stages] (stage-table))
  (when (= name "")
    (raise (RequestError "which stage? Give its name too: stage.residual")))
  (when (not-in name stages)
    (raise (RequestError f"there is no stage {name}: {(nearest name (list stages))}")))
  (setv [key value] (get stages name)
        above (comment-lines piece.text))
  (Piece f"stage {name}" piece.path
         (+ piece.line (.count (cut piece.text above) "\n") key.start-line -1)
         (form-text (cut piece.text above None) value key) [value]))


;;; Their texts and forms

(defn comment-start [text offset]
  "Where the comment begins whose lines end right before OFFSET; OFFSET if there is none."
  (setv lines (.splitlines (cut text offset) :keepends True))
  (while (and lines (.startswith (get lines -1) ";"))
    (setv offset (- offset (len (.pop lines)))))
  offset)

(defn comment-lines [text]
  "How many characters of TEXT are the comment above its form."
  (len (get (re.match r"(;[^\n]*\n)*" text) 0)))

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
