"Hy forms as text, laid out in lines as one would type them."

(import  hy.models [Dict Expression Keyword List Set String Tuple]
         nanogpt-hy.forms [head-name is-atom])

(setv BODY-AFTER {"defn" 2  "defclass" 2  "deflayer" 2  "defmacro" 2  "fn" 1  "with" 1  "for" 1
                  "when" 1  "while" 1  "let" 1  "do" 0  "try" 0  "except" 1  "eval-when-compile" 0})

(setv PREFIXES {"quote" "'"  "quasiquote" "`"  "unquote" "~"  "unquote-splice" "~@"
                "unpack-iterable" "#* "  "unpack-mapping" "#** "})

(setv BRACKETS {List "[]"  Tuple ["#(" ")"]  Dict "{}"  Set ["#{" "}"]})

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
  (setv [open close] (get BRACKETS (type form))
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

(defn pretty-group [group column width]
  "Forms side by side: a name and its value."
  (setv texts [])
  (for [form group]
    (.append texts (pretty form (+ column (sum (gfor  text texts  (+ 1 (len text))))) width)))
  (.join " " texts))

(defn stacked [groups column width]
  "Groups of forms one below the other, from COLUMN on."
  (.join (+ "\n" (* " " column)) (gfor  group groups  (pretty-group group column width))))

(defn flat [form]
  "form -> its text in one line; a string alone, as docstrings are, keeps its lines."
  (if (isinstance form String)
      (+ "\"" (.replace (.replace (str form) "\\" "\\\\") "\"" "\\\"") "\"")
      (.removeprefix (hy.repr form) "'")))

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
