"The model against the truth: what it expects, beside what a known chain will do; and where no chain
is known, beside what was counted.

KL divergence is what the model loses by not being the truth, in nats: the mean of ln(true / model),
taken as often as things truly come. Its mean over all contexts is what the model loses above the
floor."

(eval-when-compile
  (require hyrule [ncut unless]))
(import  collections [Counter]
         heapq [heappop heappush]
         itertools [count :as counting]
         numpy :as np
         torch.nn.functional :as F
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.data.corpus [as-corpus]
         nanogpt-hy.lab.data.counting [COUNTED counting-losses]
         nanogpt-hy.lab.data.encoding [known-text]
         nanogpt-hy.lab.data.markov [draw-lines entropy floors-by-position next-probabilities]
         nanogpt-hy.lab.inside.subject [label logits-of shown subject vocab-size]
         nanogpt-hy.lab.training.evaluation [rows-at-once])

(setv MOST-CONTEXTS 2000      ; that a model is asked about, the likeliest first
      LINES         5000      ; drawn where contexts cannot be listed
      MOST-PAIRED   2000      ; tokens of which all pairs are counted
      MOST-TABLE    40)       ; tokens in a table of transitions

(setv QUESTION (+ "After which contexts does the model not believe what is true, and how often do "
                  "they come?"))

;;; Contexts and how often they come

(defn line-contexts [chain]
  "Chain -> [#(context weight)]: a newline and each beginning of a line, the likeliest first, as
  many as may be asked about. The weights of all that there are sum to 1."
  (setv L chain.line-length
        order (counting)      ; of equals the first one found comes first
        heap  [#(-1.0 (next order) "\n")]
        found [])
  (while (and heap (< (len found) MOST-CONTEXTS))
    (setv [p _ context] (heappop heap))
    (.append found #(context (/ (- p) (+ L 1))))
    (when (<= (len context) L)
      (for [[char q] (.items (next-probabilities chain context))  :if (> q 0)]
        (heappush heap #((* p q) (next order) (+ context char))))))
  found)

(defn window-contexts [chain block-size]
  "Chain -> [#(context weight)]: runs of block-size characters as they come in lines drawn from it,
  the most frequent first."
  (setv text  (draw-lines chain LINES :seed 0)
        T     (min block-size (- (len text) 1))
        runs  (Counter (gfor  i (range (+ (- (len text) T) 1))  (cut text i (+ i T))))
        whole (.total runs))
  (lfor  [context n] (.most-common runs MOST-CONTEXTS)  #(context (/ n whole))))

;;; What the model says

(defn single-ids [tokenizer chars]
  "str -> ids: the token of each character; RequestError if it has none of its own."
  (setv chars (known-text tokenizer chars "the chain" "use the chain of the model's own text")
        found (lfor  char chars  (.encode tokenizer char)))
  (when (any (gfor  ids found  (!= (len ids) 1)))
    (raise (RequestError (+ "the tokens are not the chain's characters: truth needs a model of "
                            "characters, --tokenizer char"))))
  (lfor  [id] found  id))

(defn said-after [about contexts]
  "[str] -> (N V): the model's probabilities after each context."
  (setv by-length {}
        out [])
  (for [[i context] (enumerate contexts)]
    (setv ids (.encode about.tokenizer context))
    (.append (.setdefault by-length (len ids) []) #(i ids)))
  (for [same (.values by-length)
        start (range 0 (len same) 512)]
    (setv some (cut same start (+ start 512))
          logits (ncut (logits-of about (lfor  [_ ids] some  ids)) : -1))
    (.extend out (zip (gfor  [i _] some  i) (.tolist (F.softmax (.double logits) :dim -1)))))
  (np.array (lfor  [_ row] (sorted out)  row)))

(defn divergence [true model]
  "(... V) (... V) -> (...): KL, in nats; what never truly comes adds nothing."
  (setv ratio (/ (np.where (> true 0) true 1) (np.where (> true 0) (np.maximum model 1e-300) 1)))
  (np.maximum 0 (.sum (* true (np.log ratio)) :axis -1)))

(defn mean-rows [keys order rows weights]
  "[key] of N, [key] of K, (N V), (N) -> [V floats or None] of K: the mean row for each key."
  (lfor  key order
         :setv w (* weights (np.array (lfor  k keys  (= k key))))
         (if (> (.sum w) 0) (.tolist (/ (@ w rows) (.sum w))) None)))

;;; Against a chain

(defn by-position [contexts weights losses chain]
  "What the model loses at each place of a line, beside the floor there."
  (setv places (np.array (lfor  c contexts  (len c)))
        spots  (range 1 (+ chain.line-length 2)))
  {"positions" (lfor  n spots  (if (> n chain.line-length) "↵" f"{n}"))
   "floor" (floors-by-position chain)
   "loss" (lfor  n spots
                 :setv w (* weights (= places n))
                 (if (> (.sum w) 0) (float (/ (@ w losses) (.sum w))) None))})

(defn against-chain [about chain]
  "Subject, Chain -> dict: after every context the model's distribution beside the true one."
  (setv chars    (+ "\n" chain.chars)
        ids      (single-ids about.tokenizer chars)
        in-lines (or (is about.block-size None) (> about.block-size chain.line-length))
        found    (if in-lines (line-contexts chain) (window-contexts chain about.block-size))
        contexts (lfor  [c _] found  c)
        weights  (np.array (lfor  [_ w] found  w))
        share    (float (.sum weights))
        weights  (/ weights share)
        truths   (lfor  c contexts  (next-probabilities chain c))
        true     (np.array (lfor  p truths  (lfor  c chars  (get p c))))         ; (N K)
        model    (get (said-after about contexts) #((slice None) ids))           ; (N K)
        kl       (divergence true model)
        floors   (entropy true)
        last     (lfor  c contexts  (get c -1)))
  {"kind" "truth"  "against" "chain"  "question" QUESTION
   "chars" (lfor  c chars  (shown c))  "share" share
   "contexts" (lfor  [c w t m d] (zip contexts (.tolist weights) (.tolist true) (.tolist model)
                                      (.tolist kl))
                     {"context" (shown c)  "weight" w  "true" t  "model" m  "kl" d})
   "kl" (float (@ weights kl))  "floor" (float (@ weights floors))
   "loss" (float (@ weights (+ floors kl)))
   "transitions" {"from" (lfor  c chars  (shown c))
                  "true" (mean-rows last chars true weights)
                  "model" (mean-rows last chars model weights)}
   "by_position" (when in-lines (by-position contexts weights (+ floors kl) chain))})

;;; Against counting

(defn pair-counts [ids V]
  "(N) -> (V V): how often each token follows each."
  (.reshape (np.bincount (+ (* V (cut ids -1)) (cut ids 1 None)) :minlength (* V V)) V V))

(defn mean-after-each [about ids V]
  "(N) -> (V V): the model's mean distribution at the places of a text where each token stands last,
  and how often that was (V)."
  (setv T    (min (or about.block-size 8) (len ids))
        n    (// (len ids) T)
        rows (.view (cut ids (* n T)) n T)
        sums (np.zeros #(V V))
        seen (np.bincount (.numpy (.flatten rows)) :minlength V))
  (for [some (.split rows (rows-at-once T))]
    (setv p (F.softmax (.double (logits-of about some)) :dim -1))                ; (n T V)
    (np.add.at sums (.numpy (.flatten some)) (.numpy (.flatten p 0 1))))
  [(/ sums (ncut (np.maximum seen 1) : None)) seen])

(defn against-counting [about corpus]
  "Subject, Corpus -> dict: the model's mean distribution after each token beside the one that was
  counted, in the validation part; and the losses of counting models of several orders."
  (setv V (vocab-size about))
  (when (> V MOST-PAIRED)
    (raise (RequestError (+ f"{about.name} has {V :,} tokens, more than the {MOST-PAIRED :,} whose "
                            "pairs can be counted in a table: look at positions instead"))))
  (setv times  (pair-counts (np.asarray (cut corpus.val COUNTED)) V)
        [model seen] (mean-after-each about (cut corpus.val 400,000) V)
        totals (np.where seen (.sum times :axis 1) 0)      ; only what the model was asked about
        order  (lfor  i (np.argsort (- totals) :kind "stable")  :if (get totals i)  (int i))
        true   (/ times (ncut (np.maximum totals 1) : None))
        kl     (divergence true model)
        name   (fn [i] (label about.tokenizer i))
        top    (cut order MOST-TABLE)
        part   (fn [rows] (.tolist (get rows (np.ix- top top)))))
  {"kind" "truth"  "against" "counting"  "question" QUESTION  "text" corpus.path
   "chars" (list (map name top))  "share" 1.0
   "contexts" (lfor  i top
                     {"context" (name i)  "weight" (/ (int (get totals i)) (int (.sum totals)))
                      "true" (.tolist (get true #(i top)))  "model" (.tolist (get model #(i top)))
                      "kl" (float (get kl i))})
   "kl" (float (/ (@ totals kl) (.sum totals)))
   "counting" (dfor  [k value] (.items (counting-losses corpus))  f"{k}" value)
   "transitions" {"from" (list (map name top))  "true" (part true)  "model" (part model)}})

;;; Either

(defn truth [model * [tokenizer None] [chain None] [text None]]
  "model, and a Chain or a text file -> dict: the model beside the truth. A text whose chain lies
  beside it in a .toml file is one from that chain."
  (setv about (subject model tokenizer)
        corpus (when (and text (is chain None)) (as-corpus text about.tokenizer))
        chain (or chain (and corpus corpus.chain)))
  (cond
    chain  (against-chain about chain)
    corpus (do
      (when (< (len corpus.val) 2)
        (raise (RequestError
          f"the validation part of {corpus.path} is too short: use a longer text")))
      (against-counting about corpus))
    True   (raise (RequestError (+ "truth needs something to be held against: give --chain "
                                   "FILE.toml, or the text")))))
