"What the macros `shapes` and `traced` do: they rewrite a form so that the value of each of its
parts passes through a Trace, which notes it and hands it on.

Nothing is wrapped in a function: every part stays where it was and runs as often as before, which
is once, or never where `if` or `and` leave it out. Inside loops, comprehensions, functions and the
like nothing is noted, for there a part may run many times: such a form is one part."

(eval-when-compile
  (require hyrule [unless]))
(import  reprlib
         hy.models [Expression Keyword]
         nanogpt-hy.forms [expanded head-name is-atom is-core is-operator is-statement OPERATORS
                           source-text])

;; Beside operators, the forms whose parts can be noted in place, after so many left alone.
(setv IN-PLACE {"do" 0  "if" 0  "when" 0  "cond" 0  "and" 0  "or" 0  "chainc" 0  "yield" 0
                "await" 0  "setx" 1  "with" 1  "let" 1})
;; These have no value of their own to show.
(setv TRANSPARENT ["slice" "unpack-iterable" "unpack-mapping"])
;; These trace their own insides.
(setv OWN ["shapes" "traced"])

(setv WIDTH 80)
(setv NOTHING {"text" None  "shape" None  "dtype" None  "low" None  "high" None  "error" None})


;;; While compiling: a form is walked

(defclass Walk []
  "One walk through a form. ROWS is what it met, as [depth source]; TRACE is the name of the Trace
  that the rewritten form talks to."

  (defn __init__ [self compiler trace]
    (setv self.compiler compiler
          self.trace trace
          self.rows []
          self.statements 0))     ; how many parts are statements

  (defn parts [self forms depth]
    "forms -> forms, each walked."
    (lfor  form forms  (self.part form depth)))

  (defn part [self form depth]
    "form -> form: noted, or with the parts inside it noted, or as it was."
    (setv code (expanded form self.compiler)
          head (head-name code))
    (cond
      (is-atom code) code
      (not (isinstance code Expression)) ((type code) (self.parts code depth))
      (= head "setv") (self.inside-setv code depth)
      (in head TRANSPARENT) `(~(get code 0) ~@(self.parts (cut code 1 None) depth))
      True (self.row form code depth)))

  (defn row [self form code depth]
    "FORM, which is CODE when expanded -> form: noted, as a row of its own. Statements among
    arguments run before the expression that they stand in. So a form with statements says where
    they are that it begins: then it is known what an error came from. Other forms must stay
    expressions, or the order would change."
    (setv index  (len self.rows)
          before self.statements)
    (.append self.rows
             [depth (source-text (if (and (is-core code) (not (is-operator code))) form code))])
    (when (not-in (head-name form) OWN)
      (setv code (self.inside code (+ depth 1))))
    (setv noted (.replace `((.at ~self.trace ~index) ~code) form))
    (when (is-statement code)
      (setv self.statements (+ self.statements 1)))
    (if (and (is-core code) (not (is-operator code)) (> self.statements before))
        `(do (.begin ~self.trace ~index) ~noted)
        noted))

  (defn inside [self code depth]
    "form -> form: its parts noted, so far as each runs where it stands."
    (setv head (head-name code)
          keep (.get IN-PLACE head 0))
    (cond
      (isinstance code Keyword) `'~code
      (is-atom code) code
      (not (isinstance code Expression)) ((type code) (self.parts code depth))
      (= head "setv") (self.inside-setv code depth)
      (= head ".") `(. ~(self.part (get code 1) depth) ~@(cut code 2 None))
      (or (in head OPERATORS) (in head IN-PLACE))
        `(~@(cut code (+ keep 1)) ~@(self.parts (cut code (+ keep 1) None) depth))
      (is-core code) code
      True (self.inside-call code depth)))

  (defn inside-setv [self code depth]
    "(setv name value ...) -> the same, the values noted."
    (setv [setv_ #* pairs] code
          self.statements (+ self.statements 1))
    (if (or (not pairs) (isinstance (get pairs 0) Keyword))
        code
        `(~setv_ ~@(gfor  [i part] (enumerate pairs)  (if (% i 2) (self.part part depth) part)))))

  (defn inside-call [self code depth]
    "(function argument ...) -> the same, the arguments noted, and the function if it is computed."
    (setv [function #* arguments] code)
    `(~(if (= (head-name function) ".") function (self.part function depth))
      ~@(self.parts arguments depth))))

(defn traced-form [form compiler use]
  "form -> form: FORM rewritten inside a Trace, its value given to the Trace's method USE."
  (setv trace (hy.gensym "trace")
        walk (Walk compiler trace)
        code (walk.row form (expanded form compiler) 0))
  `(with [~trace (hy.I.nanogpt-hy/tracing.Trace ~walk.rows :show ~(= use "show"))]
     ~(if (= use "show") code `(.data ~trace ~code))))


;;; While running: the values of its parts are noted

(defn extreme [value name]
  "The least (\"min\") or greatest (\"max\") number in a tensor; None if it has no such thing."
  (try
    (setv number (.item ((getattr value name))))
    (if (isinstance number complex) None number)
    (except [Exception]        ; empty, without an order, without data: there is no range to show
      None)))

(defn is-tensor [value]
  "Whether VALUE has a shape and a dtype: tensors, and arrays."
  (try
    (and (hasattr value "shape") (hasattr value "dtype") (not (isinstance value type)))
    (except [RuntimeError]     ; a nested tensor has no one shape
      False)))

(defn in-short [number]
  "number -> text; whole numbers are whole, others have three digits."
  (if (isinstance number float) f"{number :.3g}" (str number)))

(defn tensor-columns [row]
  "row -> texts of its shape, its dtype, and its range or, where it holds one number, that."
  (setv shape (get row "shape")
        ends (lfor  end ["low" "high"]  :if (is-not (get row end) None)  (in-short (get row end))))
  [f"[{(.join " " (map str shape))}]" (get row "dtype") (.join ".." (if shape ends (cut ends 1)))])

(defn in-one-line [value]
  "value -> text, short however large the value is; a type's name where its text says no more."
  (setv text (if (is-tensor value) (get (describe value) "text") (reprlib.repr value)))
  (if (or (in "\n" text) (.startswith text "<")) (. (type value) __name__) text))

(defn listed [values]
  "list or tuple -> text: the first four in it, and how many there are."
  (setv texts (lfor  value (cut values 4)  (in-one-line value))
        more (if (> (len values) 4) [f"... {(len values)} in all"] []))
  (+ (if (isinstance values tuple) "#(" "[")
     (.join ", " (+ texts more))
     (if (isinstance values tuple) ")" "]")))

(defn describe [value]
  "value -> {text shape dtype low high}: what there is to see of it; all but text are a tensor's."
  (setv row (dict NOTHING))
  (when (is-tensor value)
    (setv (get row "shape") (list value.shape)
          (get row "dtype") (.removeprefix (str value.dtype) "torch.")
          (get row "low")   (extreme value "min")
          (get row "high")  (extreme value "max")))
  (setv (get row "text")
        (cond
          (is-tensor value)                (.rstrip (.join " " (tensor-columns row)))
          (isinstance value #(list tuple)) (listed value)
          True                             (in-one-line value)))
  row)

(defclass Trace []
  "The values of the parts of one form, noted while it runs: (with [t (Trace parts)] ...)."

  (defn __init__ [self parts * [show False]]
    (setv self.show show
          self.rows (lfor  [depth source] parts  {"depth" depth  "source" source  #** NOTHING})
          self.begun []))

  (defn begin [self index]
    "Remember that part INDEX begins."
    (.append self.begun index))

  (defn at [self index]
    "Part INDEX begins; the function takes its value, notes it, and gives it back."
    (.begin self index)
    (fn [value] (.note self index value)))

  (defn note [self index value]
    (.update (get self.rows index) (describe value))
    value)

  (defn data [self value]
    "What `traced` gives."
    #(self.rows value))

  (defn guilty [self]
    "The row of what began last and never had a value."
    (next (gfor  i (reversed self.begun)
                 :if (is (get self.rows i "text") None)
                 (get self.rows i))
          None))

  (defn __enter__ [self]
    self)

  (defn __exit__ [self kind error _]
    (when error
      (self.blame error))
    (when (and self.show (or (is error None) (isinstance error Exception)))
      (print (drawn self.rows)))
    False)

  (defn blame [self error]
    "Mark the guilty row; an error that leaves `traced` carries the tree with it."
    (setv row (.guilty self))
    (when row
      (setv (get row "error") (.join " " (.split f"{(. (type error) __name__)}: {error}"))))
    (unless self.show
      (.add-note error (drawn self.rows)))))


;;; The tree as text

(defn cut-short [text width]
  "text -> text of at most WIDTH characters, with an ellipsis where some are missing."
  (if (<= (len text) width)
      text
      (+ (cut text (max 0 (- width 1))) "…")))

(defn value-texts [rows]
  "rows -> text of each row's value: shapes, dtypes and ranges stand in columns."
  (setv tensors (lfor  row rows  :if (get row "dtype")  (tensor-columns row))
        widths (lfor  column (zip #* tensors)  (max (map len column))))
  (lfor  row rows
    (cond
      (get row "error")          (+ "!! " (get row "error"))
      (is (get row "text") None) "--"
      (get row "dtype") (.rstrip (.join "  " (map str.ljust (tensor-columns row) widths)))
      True              (get row "text"))))

(defn drawn [rows * [width WIDTH]]
  "rows -> the tree as text, at most WIDTH wide: what is too long is cut."
  (setv sources (lfor  row rows  (+ (* "  " (get row "depth")) (get row "source")))
        values (value-texts rows)
        longest (max (gfor  [row value] (zip rows values)  (if (get row "dtype") (len value) 24)))
        left (min (max (map len sources)) (- width 2 longest)))
  (.join "\n" (gfor  [source value] (zip sources values)
                     (cut-short (+ (.ljust (cut-short source left) left) "  " value) width))))
