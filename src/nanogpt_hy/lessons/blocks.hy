"The Hy blocks of a lesson: their forms are run one after the other, and each form's value can be
held against what the lesson says of it: `(+ 1 1)  ; => 2`."

(eval-when-compile
  (require hyrule [unless]))
(import  dataclasses [dataclass]
         re
         types [ModuleType]
         nanogpt-hy.lab.lisp.workbench [MACROS names-at-hand])

(setv NUMBER (re.compile r"-?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|inf)|nan")
      CLOSE  2e-4)                   ; values are shown with four decimals


;;; Forms and what is said of them

(defclass [(dataclass :frozen True)] Step []
  "A form, its text with the comments in front of it, and what it is said to give, if anything."
  #^ object form
  #^ str text
  #^ (| str None) claim)

(defn place [text line column]
  "Line and column, counted from 1 -> offset."
  (+ (sum (gfor  l (cut (.splitlines text :keepends True) (- line 1))  (len l))) (- column 1)))

(defn steps-of [text]
  "The text of a block -> [Step]. A comment at the end of a form's line belongs to the form, one on
  lines of its own to the next."
  (setv steps []
        end   0)
  (for [form [#* (hy.read-many text) None]]
    (setv start   (if form (place text form.start-line form.start-column) (len text))
          between (cut text end start))
    (when steps
      (setv [claim remark between] (claim-in between)
            last (.pop steps))
      (.append steps (Step last.form (+ last.text remark) claim)))
    (when (is-not form None)
      (setv end (+ 1 (place text form.end-line form.end-column)))
      (.append steps (Step form (+ (.lstrip between "\n") (cut text start end)) None))))
  steps)

(defn claim-in [comment]
  "The text between two forms -> what the first is said to give, or None; a remark in its last line;
  the rest."
  (setv found (re.match r"\s*; => ?(.*(?:\n; {3,}.*)*)" comment))
  (if found
    [(.strip (re.sub r"\n; *" " " (get found 1))) "" (cut comment (.end found) None)]
    [None #* (.groups (re.match r"([^\n]*)(.*)" comment re.DOTALL))]))


;;; Running them

(defn workplace []
  "A module in which forms can be evaluated, with all at hand that the REPL has."
  (setv module (ModuleType "lesson"))
  (.update (vars module) (names-at-hand))
  (hy.eval MACROS (vars module) :module module)
  module)

(defn value-of [step module]
  "Run STEP in MODULE; -> its value."
  (hy.eval step.form (vars module) :module module))


;;; Showing values, short enough to be compared with a pencil's

(defn number-text [x]
  "a number -> text with at most four decimals"
  (cond
    (isinstance x #(bool int)) (str x)
    (!= x x) "nan"
    (in x [(float "inf") (float "-inf")]) (if (> x 0) "inf" "-inf")
    True (do (setv text (.rstrip f"{(+ x 0.0) :.4f}" "0")
                   text (if (.endswith text ".") (+ text "0") text))
             (if (= text "-0.0") "0.0" text))))

(defn in-words [value [indent 0]]
  "anything -> text: tensors and lists as numbers in brackets, tables with a line for each row."
  (cond
    (hasattr value "tolist") (in-words (.tolist value) indent)
    (isinstance value #(bool int float)) (number-text value)
    (isinstance value #(list tuple))
      (do (setv parts (lfor  part value  (in-words part (+ indent 1)))
                nested (any (gfor  part value  (and (isinstance part #(list tuple)) part)))
                broken (if nested (+ "\n" (* " " (+ indent 1))) " "))
          (+ "[" (.join broken (aligned parts value)) "]"))
    True (hy.repr value)))

(defn aligned [parts value]
  "The texts of rows of numbers, so that columns stand one below the other."
  (unless (and value (all (gfor  row value
                                 (and (isinstance row #(list tuple)) row
                                      (= (len row) (len (get value 0)))
                                      (all (gfor  x row  (isinstance x #(bool int float))))))))
    (return parts))
  (setv texts  (lfor  row value  (lfor  x row  (number-text x)))
        widths (lfor  column (zip #* texts)  (max (map len column))))
  (lfor  row texts
         (+ "[" (.join " " (gfor  [text width] (zip row widths)  (.rjust text width))) "]")))

(defn agree [claim shown]
  "Whether what a lesson says is what came out: numbers may differ by rounding, words may not."
  (setv ours   (.findall NUMBER claim)
        theirs (.findall NUMBER shown)
        bare   (fn [text] (re.sub r"\s+" "" (.sub NUMBER "#" text))))
  (and (= (bare claim) (bare shown))
       (all (gfor  [x y] (zip ours theirs :strict True)
                   (or (= x y) (<= (abs (- (float x) (float y))) CLOSE))))))
