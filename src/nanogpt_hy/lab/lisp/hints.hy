"What to say to a Python programmer whose Hy went wrong: what often leads to such an error."

(import  math
         re
         hy.models [Sequence Symbol]
         nanogpt-hy.forms [head-name OPERATORS])

(setv PARTS-OF-A-MODEL ["embed" "body" "lm-head"]
      MODULES {"torch" "torch"  "math" "math"
               "nn" "torch.nn :as nn"  "F" "torch.nn.functional :as F"}
      PREFIXED [#* OPERATORS "and" "or" "+=" "-=" "*=" "/="]
      IN-HY {"true" "True"  "false" "False"  "none" "None"  "nil" "None"  "null" "None"
             "lambda" "(fn [x] ...)"  "else" "(if a b c)"  "elif" "(cond a b  c d)"}
      STATEMENTS {"def"    "(defn f [x] ...)"      "class" "(defclass C [] ...)"
                  "import" "(import torch)"        "from"  "(import torch [nn])"
                  "for"    "(for [x xs] ...)"      "while" "(while a ...)"
                  "if"     "(if a b c)"            "return" "the last value in a function"})

(defn code-of [text]
  "Hy -> Hy: the same without strings and comments."
  (re.sub r"#\[([^\[\]]*)\[(?s:.)*?\]\1\]|\"(?:\\.|[^\"\\])*\"|;.*" "" text))

(defn python-in [text]
  "What to say of what in TEXT is written as in Python: how it begins, or its first call or index;
  None if there is no such thing."
  (setv code  (code-of text)
        begun (re.match r"\s*(?:([a-z]+)\s+\w|([A-Za-z_]\w*)\s*=(?!=))" code)
        [word variable] (if begun (.groups begun) [None None]))
  (cond
    (in word STATEMENTS) (return f"{word} is Python's: in Hy it is {(get STATEMENTS word)}")
    variable (return f"{variable} = is Python: in Hy it is (setv {variable} ...)"))
  (setv found (re.search (+ r"(?:([\w\]).]+)\.)?"
                            r"(?<![\w(])(?<!\(defn )"           ; Hy too needs no blank there
                            r"([A-Za-z_]\w*)([(\[])")
                         code))
  (when found
    (setv [of name bracket] (.groups found)
          whole (if of f"{of}.{name}" name))
    (+ f"{whole}{bracket} is Python: in Hy it is "
       (cond
         (= bracket "[") f"(get {whole} ...) or (cut {whole} ...)"
         (in of MODULES) f"({whole} ...)"
         of              f"(.{name} {of} ...)"
         True            f"({name} ...)"))))

(defn infix-in [text]
  "What to say of an operator between two values in TEXT, which is Hy, where setv takes it for a
  name; None if there is none. (setv y (f x) / 2) sets y and, to 2, a variable /."
  (setv forms (list (hy.read-many text)))
  (while forms
    (setv form (.pop forms))
    (for [name (if (= (head-name form) "setv") (cut form 1 None 2) [])]
      (when (and (isinstance name Symbol) (re.fullmatch r"[^\w\s]+" name))
        (return f"{name} is set like a variable: in Hy the operator comes first: ({name} a b)")))
    (when (isinstance form Sequence)
      (.extend forms form))))

(defn glued [name]
  "What to say of a NAME in which something of Python's is glued to a name: -x, x=3, 1/2; None if
  there is no such thing."
  (setv negative (re.fullmatch r"-([A-Za-z][\w.-]*):?" name)
        keyword  (re.fullmatch r"([A-Za-z][\w-]*)=([^=].*)" name)
        infix    (re.fullmatch r"(\d[\d.]*)([-+*/])([\w.-]+)|([\w.-]+)([+*/@])([\w.-]+)" name))
  (cond
    negative f"the minus is an operator: (- {(get negative 1)})"
    keyword  f"in Hy it is :{(get keyword 1)} {(get keyword 2)}"
    infix    (do (setv [a op b] (filter None (.groups infix)))
                 f"in Hy the operator comes first: ({op} {a} {b})")))

(defn glued-in [text]
  "What to say of the first name in TEXT to which something of Python's is glued; None if there is
  none."
  (next (filter None (map glued (re.findall r"[^\s(){},\[\]]+" (code-of text)))) None))

(defn hint-for-name [name text]
  "What to say of a NAME in TEXT that nothing has; None if there is nothing to say. In the REPL,
  where TEXT is empty, nothing is known of layers and parameters."
  (cond
    (in name PREFIXED)
      (or (python-in text) f"in Hy the operator comes first: ({name} a b)")
    (= name "==")       "in Hy it is (= a b)"
    (= name "->")       "-> is a macro: write (require hyrule [->]) above"
    (= name ",")        (or (python-in text) "in Hy blanks divide, not commas")
    (setx said (glued name))  said
    (in name IN-HY)     f"in Hy it is {(get IN-HY name)}"
    (in name MODULES)   f"write (import {(get MODULES name)}) above"
    (= name "inf")      "write (import math [inf]) above"
    (not text)          (method-named name)
    (.isupper name)
      (if (stands-in (.lower name) text)
        f"in words {name} stands for the parameter {(.lower name)}"
        f"in words {name} is the length of an axis, and no name in the code")
    (re.search (+ r"(?m)^\s*\[?" (re.escape name) r"\s+\(") text)
      f"a part of the layer is self.{name}"
    (stands-in (.upper name) text)  f"large and small letters differ: {(.upper name)}"
    (in name PARTS-OF-A-MODEL) f"a part of the model is model.{name}"
    (bound-in-comprehension name text) f"only within its (lfor ...) {name} has a value"
    (= name "x")        "nothing comes in here yet: a layer is made first, and called with x later"
    True                (or (python-in text) (method-named name))))

(defn stands-in [name text]
  "Whether NAME is a name in TEXT."
  (re.search (+ r"(?<![\w-])" (re.escape name) r"(?![\w-])") (code-of text)))

(defn bound-in-comprehension [name text]
  "Whether a comprehension in TEXT binds NAME, as lfor does in (lfor [x y] pairs (+ x y))."
  (re.search (+ r"\([lgsd]for\s+(\[[^\]]*)?(?<![\w-])" (re.escape name) r"(?![\w-])")
             (code-of text)))

(defn method-named [name]
  "What to say of a NAME that tensors have; None if it is none of theirs."
  (import torch)
  (setv found (getattr torch.Tensor (hy.mangle name) None))
  (cond
    (callable found)      f"of a tensor x it is a method: (.{name} x ...), with a dot"
    (is-not found None)   f"of a tensor x it is x.{name}"))

(defn hint-for [error text]
  "What often leads to such an ERROR in TEXT, if anything."
  (setv words (str error))
  (cond
    (isinstance error UnboundLocalError)        ; Python keeps no name in it
      "a name that a function sets is its own from the beginning: set it before it is used"
    (isinstance error NameError)
      (when error.name
        (hint-for-name (hy.unmangle error.name) text))
    (in "not callable" words)
      (or (python-in text) "(f x) calls f: there may be a parenthesis too many")
    (in "forward() missing" words)
      (+ "a layer is called without its x: no parentheses around the layer itself; where a "
         "function is wanted that makes layers, write (fn [] (Block ...))")
    (in "index out of range in self" words)
      "an embedding was asked for a row that it does not have"
    (re.search r"\bints?\b.* got '?float" words)
      "a size is a whole number: (// a b) gives one, (/ a b) a float"
    (in "XcommaX'" words) "in Hy blanks divide, not commas"
    (in "has no attribute 'shape'" words)
      "a layer was given what is no tensor: (f x) calls f, and a list is [a b]"
    (setx found (re.search (+ r"'(list|int|float|str|NoneType)' object has no attribute "
                              r"'(\w+)'")
                           words))
      (hint-for-missing #* (.groups found))
    (setx found (re.search r"(\w+)\(\): argument .* must be Tensor, not (list|int|float)" words))
      (hint-for-no-tensor #* (.groups found))
    (re.search r"math domain error|expected a (positive|nonnegative) input" words)
      "0 has no logarithm, and what is below 0 no root either"
    (in "not a sequence" words)
      "the rows of a tensor are lists of numbers, [a b c]"
    (in "does not require grad" words)
      (+ "no gradient gets through torch.tensor, .item and .detach: they keep the number and "
         "forget how it was computed")
    (in "converted to Python scalars" words)
      "math's functions take one number; of all numbers of a tensor x it is (.sqrt x)"
    (and (in "unsupported operand" words) (re.search r"'(builtin_)?(function|method)" words))
      "a function is called in parentheses of its own: (f x)"
    (re.search r"takes .* positional arguments? but" words)
      (+ "each call has parentheses of its own, (f (g x)), and what stands behind a * in the "
         "parameters is given by name, as :dropout p")
    (in "same number of keys as values" words)
      "in Hy a dictionary is {\"a\" 1}: key and value, and no colon"
    (or (in "got Keyword" words)
        (and (in "too many indices" words) (re.search r"\):[\s)]" (code-of text))))
      "in Hy x[:, a:] is (ncut x : (: a None))"
    (in "with size 0" words)
      "nothing is left of that tensor: what was cut away before?"))

(defn hint-for-no-tensor [name kind]
  "What to say where torch's function NAME is given something of that KIND; None if there is
  nothing."
  (when (or (= kind "list") (hasattr math name))
    (hint-for-missing kind name)))

(defn hint-for-missing [kind name]
  "What to say where something of that KIND has no attribute NAME; None if there is nothing."
  (cond
    (= kind "NoneType") "it is None, which is what setv gives, and a function with no last value"
    (= kind "str")      "what stands in quotes is text: a name has none"
    (= kind "list")     (+ "a list is no tensor: (sum x) and (len x) take lists, and "
                           "(torch.stack x) makes one tensor of many")
    (hasattr math name) f"of a number x it is ({name} x)"
    (= kind "float")    ".item has taken the number out of its tensor: leave it in"))
