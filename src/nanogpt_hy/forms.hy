"Forms of Hy, looked at from outside: what stands in front, whether it is Hy's own, what its macros
make of it."

(import  builtins
         re
         hy.macros [macroexpand]
         hy.models [Dict Expression List Set String Symbol Tuple])

;; Hy's own forms that evaluate everything in them.
(setv OPERATORS (.split "+ - * / // % ** @ << >> & | ^ bnot not = != < <= > >= is is-not in not-in
                         get cut"))
;; What becomes a statement of Python, and may fail.
(setv STATEMENTS (.split "with let try match for while raise return assert del import defn defclass
                          pys"))

(defn head-name [form]
  "form -> text: the NAME in front of (NAME ...), or nothing."
  (if (and (isinstance form Expression) form (isinstance (get form 0) Symbol))
      (str (get form 0))
      ""))

(defn is-core [form]
  "Whether FORM is one of Hy's own special forms or operators."
  (setv name (head-name form))
  (and (!= name "") (in (hy.mangle name) builtins._hy_macros)))

(defn is-operator [form]
  (in (head-name form) OPERATORS))

(defn is-statement [form]
  "Whether FORM is a statement in Python, whatever stands in it."
  (setv head (head-name form))
  (or (in head STATEMENTS) (and (= head "do") (> (len form) 2))))

(defn is-atom [form]
  "Whether FORM is seen well enough in what it stands in: names, numbers, x.shape, 'quoted."
  (setv head (head-name form))
  (or (not (isinstance form #(Expression List Tuple Dict Set)))
      (not form)
      (in head ["quote" "quasiquote"])
      (and (= head ".") (all (gfor  part form  (isinstance part Symbol))))))

(defn expanded [form compiler]
  "form -> form: macros in front expanded, until there is a call or one of Hy's own forms."
  (while (and (isinstance form Expression) form (not (is-core form)))
    (setv once (macroexpand form compiler.module compiler :once True :result-ok False))
    (when (is once form)
      (break))
    (setv form once))
  form)

(defn source-text [form]
  "form -> its text in one line. Names made up by macros lose what made them unique."
  (setv text (.join " " (.split (.removeprefix (hy.repr form) "'"))))
  (re.sub r"_hy_gensym_(\w+?)_\d+" r"\1" text))

(defn check-layer [name doc parts methods]
  "TypeError that says what is wrong with what stands in (deflayer NAME ...), if anything is."
  (setv wrong (cond
    (not (isinstance doc String))
      " has no docstring: say between its sizes and its parts what it does"
    (not (isinstance parts List))
      ": behind its docstring come its parts, [name value …], or [] for none"
    (% (len parts) 2)
      f": its part {(get parts -1)} has no value"
    (any (gfor  method methods  (= (head-name method) "defn")))
      ": its methods are written without defn, as (forward [self x] …)"))
  (when wrong
    (raise (TypeError f"deflayer {name}{wrong}"))))
