"Attention by hand: all that one head computes for a short prompt, in tables to check with a pencil.

`head-by-hand` gives the numbers, `show-by-hand` prints them. Queries, keys and values are what the
model itself used, noted while it read the prompt. The rest is worked out from them in plain steps
and compared with torch's fused kernel, and with what the model's head gave."

(eval-when-compile
  (require hyrule [ncut unless]))
(import  dataclasses [dataclass]
         math [inf isclose sqrt]
         rich.box [SIMPLE-HEAD]
         rich.cells [cell-len]
         rich.table [Table]
         rich.text [Text]
         torch
         torch.nn.functional :as F
         nanogpt-hy.course [causal]
         nanogpt-hy.errors [RequestError WorkError]
         nanogpt-hy.lab.inside.attention [noted pick projections talkers]
         nanogpt-hy.lab.inside.subject [labels logits-of prompt-ids shown subject]
         nanogpt-hy.ladder [Average])

(setv MOST-TOKENS 9        ; more rows nobody works out with a pencil, nor do they fit 80 columns
      MOST-TERMS  4)       ; of a sum that is written out


;;; The numbers

(defclass [(dataclass :frozen True :eq False)] ByHand []
  "One head's work for T tokens, step by step. Layer and head count from 1."
  #^ str name                        ; of the model
  #^ tuple tokens                    ; as labels
  #^ tuple tags                      ; the D channels of q and k by name, or numbered from 1
  #^ tuple told                      ; those of v and mix
  #^ int layer
  #^ int head
  #^ torch.Tensor q                  ; (T D) what each token looks for
  #^ torch.Tensor k                  ; (T D) what each has
  #^ torch.Tensor v                  ; (T D) what each tells
  #^ float root                      ; by which scores are divided
  #^ torch.Tensor scores             ; (T T) q times k
  #^ torch.Tensor scaled             ; (T T)
  #^ torch.Tensor masked             ; (T T) -inf where the future is
  #^ torch.Tensor weights            ; (T T) softmax: each row sums to 1
  #^ torch.Tensor mix                ; (T D) weights times v
  #^ torch.Tensor fused              ; (T D) the same by torch's fused kernel
  #^ torch.Tensor given)             ; (T D) the same as the model's own head gave it

(defn work-out [q k v root]
  "(T D) (T D) (T D), number -> dict: attention in its smallest steps."
  (setv scores  (@ q (.t k))                                                    ; (T T)
        scaled  (/ scores root)
        masked  (.masked-fill scaled (bnot (causal (len q) :device q.device)) (- inf))
        weights (F.softmax masked :dim -1)                                      ; (T T)
        mix     (@ weights v)                                                   ; (T D)
        fused   (get (F.scaled-dot-product-attention (ncut q None None) (ncut k None None)
                                                     (ncut v None None) :is-causal True
                                                     :scale (/ 1 root))
                     0 0))
  (dict :q q :k k :v v :root root :scores scores :scaled scaled :masked masked :weights weights
        :mix mix :fused fused))

(defn chosen-part [about layer]
  "Subject, number -> parts: those of its layer in which heads have queries and keys."
  (setv groups (lfor  group (talkers about.model)
                      :if (not (isinstance (get group 1 0) Average))
                      group))
  (unless groups
    (raise (RequestError (+ f"{about.name} has no head with queries and keys: use a stage from "
                            "head on"))))
  (setv [_ [_ parts]] (get (pick groups layer "layer") 0))
  parts)

(defn channel-label [name]
  "str -> str: a handmade channel's name for a table  ; (channel-label \"now \\n\") => 'now ↵'"
  (.join " " (map shown (.split name " " 1))))

(defn channel-labels [about layer head key count]
  "Subject, number, number, \"tags\" or \"told\" -> count labels: of a handmade model's channels the
  names that they were given, of all others the numbers."
  (setv labels (lfor  n (range count)  f"{(+ n 1)}"))
  (try
    (setv names (if (= layer 1) (get about.meta "handmade" "heads" (- head 1) key) []))
    (except [[KeyError IndexError TypeError]]         ; it was trained, or is somebody's
      (setv names [])))
  (if (and (isinstance names list) (all (gfor  name names  (isinstance name str))))
    (tuple (cut [#* (map channel-label names) #* (cut labels (len names) None)] count))
    (tuple labels)))

(defn few-ids [about prompt]
  "str -> ids: those of a PROMPT short enough to be worked out by hand."
  (setv [ids left-out] (prompt-ids about prompt)
        count (+ (len ids) left-out))
  (when (> (len ids) MOST-TOKENS)
    (raise (RequestError (+ f"the prompt has {count} tokens, more than the {MOST-TOKENS} that can "
                            "be worked out by hand: use a shorter --prompt"))))
  ids)

(defn [(torch.no-grad)] head-by-hand [model prompt * [tokenizer None] [layer 1] [head 1]]
  "model, str -> ByHand: the work of head number HEAD in layer number LAYER, for the PROMPT. MODEL:
  what `subject` takes."
  (setv about (subject model tokenizer)
        ids   (few-ids about prompt)
        parts (chosen-part about layer))
  (with [seen (noted about.model)]
    (logits-of about [ids]))
  (setv heads (lfor  part parts
                     :setv [#* each root] (projections part seen)
                     one (zip #* each)
                     [one root])
        [_ [one root]] (get (pick heads head "head") 0)
        [q k v given]  (lfor  x one  (.cpu (.float x)))
        worked (work-out q k v root)
        D (get q.shape -1))
  (unless (and (.all (.isfinite (get worked "scores"))) (.all (.isfinite (get worked "mix"))))
    (raise (WorkError (+ f"{about.name} computes with numbers that are too large to be shown: "
                         "use another checkpoint"))))
  (ByHand :name about.name :tokens (tuple (labels about.tokenizer ids)) :layer layer :head head
          :tags (channel-labels about layer head "tags" D)
          :told (channel-labels about layer head "told" D)
          :given given #** worked))


;;; Numbers as text

(defn number-text [x]
  "number -> text: a whole number as such, others rounded  ; (number-text 1.234) => '1.23'"
  (setv x (float x))
  (cell x (digits-of [[x]])))

(defn digits-of [rows]
  "rows of numbers -> 0 or 2: how many decimals they need; a table of whole numbers has none."
  (if (all (gfor  row rows  x row  (or (= x (- inf)) (<= (abs (- x (round x))) 1e-4)))) 0 2))

(defn cell [x digits]
  "number -> text, with that many decimals."
  (setv text (if (= x (- inf)) "-inf" f"{x :.{digits}f}"))
  (if (not (.strip text "-0.")) (.lstrip text "-") text))          ; no -0.00

(defn factor-text [x]
  "number -> text, in parentheses if it is negative."
  (if (.startswith (number-text x) "-") f"({(number-text x)})" (number-text x)))

(defn sum-text [terms]
  "texts -> text: a sum written out, its tail left out if it is long."
  (+ (.join " + " (cut terms MOST-TERMS))
     (if (> (len terms) MOST-TERMS) f" + {(- (len terms) MOST-TERMS)} more" "")))

(defn product-text [xs ys]
  "numbers, numbers -> text: their products in a sum, those with a 0 left out."
  (setv terms (lfor  [x y] (zip (.tolist xs) (.tolist ys))
                     :if (> (min (abs x) (abs y)) 1e-4)
                     f"{(factor-text x)} x {(factor-text y)}"))
  (if terms (sum-text terms) "0"))


;;; Tables

(defn columns-that-fit [names rows digits left width]
  "names, rows of numbers -> [indices]: the columns in as many parts as WIDTH asks for."
  (setv parts [[]]
        used  left)
  (for [[j name] (enumerate names)]
    (setv need (+ 2 (max (cell-len name) #* (gfor  row rows  (len (cell (get row j) digits))))))
    (when (and (get parts -1) (> (+ used need) width))
      (.append parts [])
      (setv used left))
    (.append (get parts -1) j)
    (setv used (+ used need)))
  parts)

(defn show-table [console title tokens names rows]
  "Print ROWS of numbers, a token before each; a table too wide comes in parts."
  (setv digits (digits-of rows)
        left   (+ 4 (max (map cell-len tokens))))
  (.print console (Text title :style "bold"))
  (for [part (columns-that-fit names rows digits left console.width)]
    (setv table (Table :box SIMPLE-HEAD :pad-edge False :padding #(0 1 0 0) :header-style "dim"))
    (.add-column table "" :style "cyan" :no-wrap True)
    (for [j part]
      (.add-column table (Text (get names j)) :justify "right" :no-wrap True))
    (for [[token row] (zip tokens rows)]
      (.add-row table (Text token) #* (gfor  j part  (cell (get row j) digits))))
    (.print console table)))

(defn show-channels [console title work labels matrix]
  "Print MATRIX (T D) without the channels that are 0 in all rows; say so."
  (setv busy (lfor  j (range (len labels))
                    :if (> (float (.max (.abs (ncut matrix : j)))) 1e-4)
                    j)
        rest (- (len labels) (len busy))
        note (if rest f" (0 in the {rest} channels left out)" ""))
  (show-table console (+ title note) work.tokens (lfor  j busy  (get labels j))
              (.tolist (ncut matrix : busy))))

(defn show-square [console title work matrix]
  "Print MATRIX (T T): rows look, columns are looked at."
  (show-table console title work.tokens work.tokens (.tolist matrix)))

(defn say [console text]
  "Print a line of explanation below a table."
  (.print console (Text text :style "italic"))
  (.print console))


;;; One head, step by step

(defn look-at [work]
  "ByHand -> i, j, text: what is worked out, and its place in words: the last row, and the column
  that it looks at most."
  (setv i (- (len work.tokens) 1)
        j (int (.argmax (get work.weights i))))
  [i j f"row {(+ i 1)} ({(get work.tokens i)}), column {(+ j 1)} ({(get work.tokens j)}): "])

(defn show-scores [work console]
  "Steps 3 and 4: how well each query meets each key."
  (setv [i j here] (look-at work)
        score  (number-text (get work.scores i j))
        scaled (number-text (get work.scaled i j))
        root   (number-text work.root)
        whose  (if (isclose work.root (sqrt (get work.q.shape 1))) "the head size" "n-embd"))
  (show-square console "3. scores = q x k, channel by channel, added up" work work.scores)
  (say console (+ here (product-text (get work.q i) (get work.k j)) f" = {score}"))
  (show-square console f"4. scaled = scores / {root}, the root of {whose}" work work.scaled)
  (say console (+ here f"{score} / {root} = {scaled}")))

(defn show-weights [work console]
  "Steps 5 and 6: from scores to shares."
  (setv [i j here] (look-at work)
        powers (lfor  x (.tolist (get work.masked i))  f"e^{(number-text x)}")
        weight (number-text (get work.weights i j)))
  (show-square console "5. mask: -inf where a later token would be looked at" work work.masked)
  (say console "e^-inf is 0, so nothing of it is taken: it is what has to be guessed.")
  (show-square console "6. softmax: e to each, divided by its row's sum" work work.weights)
  (say console (+ here f"{(get powers j)} / ({(sum-text powers)}) = {weight}")))

(defn show-mix [work console]
  "Steps 7 and 8: what is told, and what arrives of it."
  (setv i (- (len work.tokens) 1)
        c (int (.argmax (.abs (get work.mix i)))))
  (show-channels console "7. v, what each tells" work work.told work.v)
  (show-channels console "8. mix = softmax x v, what the head found" work work.told work.mix)
  (say console (+ f"row {(+ i 1)} ({(get work.tokens i)}), channel {(get work.told c)}: "
                  (product-text (get work.weights i) (ncut work.v : c))
                  f" = {(number-text (get work.mix i c))}")))

(defn show-by-hand [work console]
  "ByHand -> None: print it to the rich CONSOLE, with one number of each step worked out."
  (setv apart (largest-difference work.mix work.fused work.given))
  (.print console (Text f"{work.name}, layer {work.layer}, head {work.head}"))
  (say console (+ "Each row is a token of the prompt, in its order. Numbers that are not whole are "
                  "rounded."))
  (show-channels console "1. q, what each looks for" work work.tags work.q)
  (show-channels console "2. k, what each shows" work work.tags work.k)
  (show-scores work console)
  (show-weights work console)
  (show-mix work console)
  (.print console (Text (+ "Torch's own attention, all steps in one, and the model's head give the "
                           f"same mix; the largest difference is {apart :.1g}.")
                        :style "bold")))

(defn largest-difference [mix #* others]
  "(T D)... -> number: how far they are apart."
  (max (gfor  other others  (float (.max (.abs (- mix other)))))))

(defn attention-by-hand [trained prompt * console [layer 1] [head 1]]
  "`nanogpt-hy inspect attention --by-hand`: print the work of one head; -> ByHand. Layer and head
  count from 1."
  (setv work (head-by-hand trained prompt :layer layer :head head))
  (show-by-hand work console)
  work)
