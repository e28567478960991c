"What two stages of the ladder differ in, as the difference of two forms. Loads no torch.

Forms are trees, so they are not compared line by line: sought are the fewest parts to take out, to
put in (around others, too) and to rename that make the one of the other."

(import  dataclasses [dataclass]
         functools [cache]
         hy.models [Expression Keyword]
         rich.text [Text]
         nanogpt-hy.lab.console [plain-console]
         nanogpt-hy.lab.lisp.finding [stage-piece]
         nanogpt-hy.lab.lisp.layout [BRACKETS flat in-pairs pretty PREFIXES]
         nanogpt-hy.forms [head-name is-atom])

(setv WIDTH  70       ; columns of a form; its last brackets may stand a little further out
      STYLES {"-" "strike red"  "+" "bold green"})

(defclass [(dataclass :frozen True :eq False)] Node []
  "A form as a tree. The NAME of a call is what is called; CLOSE is the bracket that ends it, empty
  where there are no parts."
  #^ str open
  #^ str name
  #^ tuple parts
  #^ str close)

(defn tree [form]
  "form -> Node"
  (defn parts [forms]
    (tuple (map tree forms)))
  (cond
    (or (is-atom form) (in (head-name form) PREFIXES)) (Node "" (flat form) #() "")
    (isinstance form Expression) (Node "(" (flat (get form 0)) (parts (cut form 1 None)) ")")
    True (do (setv [open close] (get BRACKETS (type form)))
             (Node open "" (parts form) close))))

;;; The fewest edits

;; To put a node in or to take it out costs 1; what is in it may stay. To rename a call costs less
;; than to take it out and to put another in.
(setv RENAMING 1.5)

(defn kept [old new]
  "Node, Node -> {Node: Node}: which part of OLD is still there as which part of NEW; and back."
  (setv [_ pairs] (matching #(old) #(new)))
  (| (dict pairs) (dfor  [a b] pairs  b a)))

(defn [cache] matching [olds news]
  "Nodes, Nodes -> cost, pairs of nodes: the cheapest way from the ones to the others."
  (if (or olds news)
      (min (ways olds news) :key (fn [way] (get way 0)))      ; of equal ones the first
      #(0 #())))

(defn ways [olds news]
  "What can become of the last nodes, each with the cheapest way for the rest."
  (setv [a b] (lfor  nodes [olds news]  (if nodes (get nodes -1) None))
        both (and a b (= a.open b.open))
        same (and both (= a.name b.name)))
  (defn without [nodes]
    (+ (cut nodes -1) (. (get nodes -1) parts)))
  (defn paired [cost]
    (setv [inner pairs] (matching a.parts b.parts)
          [outer others] (matching (cut olds -1) (cut news -1)))
    #((+ cost inner outer) (+ others #(#(a b)) pairs)))
  (defn dearer [found]
    #((+ 1 (get found 0)) (get found 1)))
  (when same
    (yield (paired 0)))
  (when b
    (yield (dearer (matching olds (without news)))))
  (when a
    (yield (dearer (matching (without olds) news))))
  (when (and both (not same) a.name a.open)
    (yield (paired RENAMING))))

;;; As marks under the forms

(defn tokens [node pairs]
  "Node -> [text marked] ...: the node's brackets and names in order, marked where the other form
  has none like it."
  (setv twin (.get pairs node)
        gone (is twin None)
        renamed (or gone (!= node.name twin.name)))
  (yield [node.open gone])
  (yield [node.name renamed])
  (for [part node.parts]
    (yield :from (tokens part pairs)))
  (yield [node.close gone]))

(defn marks [text marked-tokens]
  "text, tokens -> bools, one for each character: laying out a form changes nothing but spaces."
  (setv flags (gfor  [token marked] marked-tokens
                     c token  :if (not (.isspace c))
                     marked))
  (lfor  c text  (if (.isspace c) False (next flags))))

(defn marked-lines [form node pairs width]
  "-> [line flags] ...: FORM laid out, with a bool for each character: whether it is marked."
  (setv text (pretty form 0 width)
        flags (marks text (tokens node pairs))
        lines []
        start 0)
  (for [line (.split text "\n")]
    (setv own (cut flags start (+ start (len line)))
          start (+ start (len line) 1))
    (.append lines [line own]))
  lines)

;;; In words

(setv WIDE 36)        ; a part of the form is quoted up to so many characters

(defn quoted [node [skip #()]]
  "Node -> its text; of what is in SKIP only three dots."
  (setv name (if node.name [node.name] [])
        parts (lfor  part node.parts  (if (in part skip) "…" (quoted part skip))))
  (+ node.open (.join " " (+ name parts)) node.close))

(defn short [node]
  "Node -> its text, or its beginning."
  (setv text (quoted node))
  (if (> (len text) WIDE) f"{node.open}{node.name} …{node.close}" text))

(defn inner [node pairs]
  "The outermost nodes in NODE that the other form has as well."
  (if (in node pairs)
      [node]
      (lfor  part node.parts  found (inner part pairs)  found)))

(defn changes [node pairs sign]
  "Node -> lines: what there is in it and not in the other form, from the outside inwards."
  (setv twin (.get pairs node)
        stay (inner node pairs)
        lone [])
  (cond
    (is twin None)
      (yield (+ f"{sign} {(if stay (quoted node (set stay)) (short node))}"
                (if stay f"  around {(.join ", " (map short stay))}" "")))
    (and (= sign "+") (!= node.name twin.name))
      (yield f"± {node.name}  instead of {twin.name}"))
  (for [part (if twin node.parts stay)]
    (if (inner part pairs)
        (yield :from (changes part pairs sign))
        (.append lone part)))
  (when lone
    (yield f"{sign} {(.join " " (map quoted lone))}  in {(short node)}")))

;;; Shown

(defn stage-parts [name]
  "stage -> what it adds, the form that makes its model, where its first weights come from."
  (setv [[_ adds form #* settings]] (. (stage-piece name) forms)
        given (dict (in-pairs settings)))
  #((str adds) form (str (.get given (Keyword "init") "torch"))))

(defn show-difference [old new * [console None]]
  "Print what the stages OLD and NEW differ in: marked in their forms, then in words. Colours mark
  where there are some, and signs below elsewhere."
  (setv console (or console (plain-console))
        [before after] (map stage-parts [old new])
        trees (lfor  [_ form _] [before after]  (tree form))
        pairs (kept #* trees)
        said [])
  (for [[name [adds form _] node sign] (zip [old new] [before after] trees "-+")]
    (.print console f"{name}: {adds}" :style "bold")
    (for [line (marked-lines form node pairs WIDTH)]
      (print-marked console #* line sign))
    (.print console)
    (.extend said (changes node pairs sign)))
  (when (!= (get before 2) (get after 2))
    (.append said f"± first weights: {(get after 2)}  instead of {(get before 2)}"))
  (for [line (or said ["the same form"])]
    (.print console line :soft-wrap True)))

(defn print-marked [console line flags sign]
  "A line of a form: what is marked in it has a colour, or else SIGN below."
  (setv colours (and console.color-system (not console.no-color))
        text (Text f"  {line}"))
  (for [[i flag] (enumerate flags)]
    (when (and flag colours)
      (.stylize text (get STYLES sign) (+ i 2) (+ i 3))))
  (.print console text :soft-wrap True)
  (when (and (any flags) (not colours))
    (setv signs (.join "" (gfor  flag flags  (if flag sign " "))))
    (.print console f"{sign} {(.rstrip signs)}" :soft-wrap True)))
