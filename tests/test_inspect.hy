"Inside a model, as plain data: what is said of it is what it does."

(eval-when-compile
  (require hyrule [ncut]))
(import  itertools [product]
         json
         math [log]
         statistics [fmean stdev]
         numpy :as np
         pytest
         torch
         torch.nn :as nn
         torch.nn.functional :as F
         torch.testing [assert-close]
         hypothesis [given :as law strategies :as st]
         chains [near refused]
         subjects [small small-run TALKING]
         nanogpt-hy.config [GPTConfig]
         nanogpt-hy.course [Head next-logits]
         nanogpt-hy.errors [RequestError WorkError]
         nanogpt-hy.fast [FastGPT from-course]
         nanogpt-hy.lab.data.corpus [as-corpus]
         nanogpt-hy.lab.data.markov [ab-chain floors-by-context window-floor]
         nanogpt-hy.lab.data.tokenizers [make-tokenizer]
         nanogpt-hy.lab.handmade [handmade]
         nanogpt-hy.lab.inside.attention [attention talkers]
         nanogpt-hy.lab.inside.attention :as looking
         nanogpt-hy.lab.inside.baby [baby-gpt]
         nanogpt-hy.lab.inside.by-hand :as by-hand
         nanogpt-hy.lab.inside.inspect [eventful inspect]
         nanogpt-hy.lab.inside.inspect :as asking
         nanogpt-hy.lab.inside.losses [loss-by-position loss-curve mean-by-position window-losses]
         nanogpt-hy.lab.inside.machine [by-doubling by-elimination check-size dot machine
                                        merge-state merged transition-matrix]
         nanogpt-hy.lab.inside.outlook [embeddings next-characters projected]
         nanogpt-hy.lab.inside.subject [labels logits-of prompt-ids shown subject]
         nanogpt-hy.lab.inside.truth [divergence truth]
         nanogpt-hy.lab.inside.truth :as truths
         nanogpt-hy.lab.pictures.graph :as graph
         nanogpt-hy.lab.pictures.plots [new-figure]
         nanogpt-hy.lab.sampler [dropped]
         nanogpt-hy.lab.training.evaluation [all-of mean-loss token-losses]
         nanogpt-hy.ladder [STAGES])

(defn [(pytest.fixture :scope "module")] trained [tmp-path-factory]
  (small-run (.mktemp tmp-path-factory "runs")))

(defn [pytest.fixture] ab [trained]
  "The lines that `trained` has seen."
  (str (/ trained.path.parent.parent "ab.txt")))

(defn weights [data]
  "-> (layers heads T T)"
  (torch.tensor (lfor  layer (get data "layers")
                       (lfor  head (get layer "heads")  (get head "weights")))))

;;; Subjects and labels

(defn test-labels-show-every-character []
  (assert (= (shown "a b\n\t\x1b$") "a␣b↵⇥\\x1b$"))
  (assert (= (labels (make-tokenizer "char" "a \n") [0 1 2]) ["↵" "␣" "a"]))
  (setv bytes (make-tokenizer "byte" ""))
  (assert (= (labels bytes (.encode bytes "aß")) ["a" "#195" "#159"])))

(defn test-a-subject-is-a-model-and-its-tokenizer []
  (setv [model tokenizer] (small "gpt"))
  (assert (= (. (subject #(model tokenizer)) block-size) 6))
  (assert (= (. (subject model tokenizer) block-size) 6))
  (assert (is (. (subject #* (small "bigram")) block-size) None))
  (with [_ (refused "tokenizer")] (subject model))
  (with [_ (refused "the prompt" "'x' at 1")] (attention #(model tokenizer) "ax"))
  (with [_ (refused "prompt is empty")] (attention #(model tokenizer) "")))

(defn test-rows-to-spare-have-numbers []
  "A model may speak of more tokens than its tokenizer knows: what is imported may be padded."
  (setv config (GPTConfig :vocab-size 260 :block-size 1 :n-layer 1 :n-head 1 :n-embd 4)
        about  #((FastGPT config) (make-tokenizer "byte" "")))
  (assert (= (cut (get (next-characters about "a") "tokens") 254 258)
             ["#254" "#255" "#256" "#257"]))
  (assert (= (len (get (embeddings about) "groups" 0 "labels")) 260))
  (assert (= (len (get (machine about) "alphabet")) 260)))

(defn test-a-long-prompt-loses-its-beginning []
  (setv about (subject #* (small "gpt")))
  (assert (= (prompt-ids about "abababab") [(.encode about.tokenizer "ababab") 2]))
  (assert (= (get (attention about "abababab") "left_out") 2)))

;;; Attention

(defn [(pytest.mark.parametrize "scale" ["head-size" "n-embd"])
       (pytest.mark.parametrize "stage" TALKING)]
      test-rows-are-shares-of-the-past [stage scale]
  (setv data (attention (small stage :scale scale) "aab\nb")
        w (weights data))
  (json.dumps data :allow-nan False)
  (assert (= (get data "tokens") ["a" "a" "b" "↵" "b"]))
  (assert-close (.sum w -1) (torch.ones (cut w.shape 3)))
  (assert (torch.equal w (.tril w)))
  (when (= stage "average")
    (assert-close (get w 0 0 -1) (torch.full [5] 0.2)))
  (when (!= stage "average")
    (assert (> (.max (get w 0 0 -1)) 0.25))))

(defn test-stages-that-do-not-talk-say-so []
  (assert (= (set TALKING) (sfor  name STAGES  :if (talkers (get (small name) 0))  name)))
  (with [_ (refused "no attention" "average")] (attention (small "bigram") "ab")))

(defn test-a-layer-that-talks-in-a-way-of-its-own-is-not-said-to-be-silent []
  (setv [model tokenizer] (small "head")
        model.body (nn.MultiheadAttention 8 1))
  (with [_ (refused "no attention that is known here" "the course's Head")]
    (attention #(model tokenizer) "ab")))

(defn test-the-course-and-the-fast-model-show-the-same []
  (setv [model tokenizer] (small "gpt")
        c (GPTConfig :vocab-size 3 :block-size 6 :n-layer 2 :n-head 2 :n-embd 8)
        fast (from-course model c))
  (assert-close (weights (attention #(model tokenizer) "abba\n"))
                (weights (attention #(fast tokenizer) "abba\n"))))

(defn test-by-the-formula-of-the-paper []
  (setv [model tokenizer] (small "head")
        data (attention #(model tokenizer) "ab\na")
        head model.body)
  (with [_ (torch.no-grad)]
    (setv x (model.embed (torch.tensor [(.encode tokenizer "ab\na")]))
          scores (/ (@ (head.query x) (.transpose (head.key x) 1 2)) (** 8 0.5))
          wanted (.softmax (.masked-fill scores (.triu (torch.ones 4 4 :dtype torch.bool) 1)
                                         (- torch.inf)) -1)))
  (assert-close (get (weights data) 0) wanted))

(defn test-the-slip-of-the-lecture-softens []
  "Scores divided by a larger root: the same order in each row, nearer to equal parts."
  (setv plain (weights (attention (small "multi-head") "aab\nb"))
        slipped (weights (attention (small "multi-head" :scale "n-embd") "aab\nb")))
  (assert (torch.equal (.argmax plain -1) (.argmax slipped -1)))
  (assert (> (.max (get plain 0 0 4)) (.max (get slipped 0 0 4)))))

(defn test-weights-that-were-not-used-are-never-shown []
  (setv [model tokenizer] (small "gpt")
        head (next (gfor  m (.modules model)  :if (isinstance m Head)  m)))
  (.register-forward-hook head (fn [part inputs output] (* 2 output)))
  (with [_ (pytest.raises WorkError :match "^[^\n]*cannot be shown[^\n]*$")]
    (attention #(model tokenizer) "ab")))

(defn test-looking-leaves-no-trace []
  (setv [model tokenizer] (small "dropout" :dropout 0.5))
  (.train model)
  (setv first (attention #(model tokenizer) "aab"))
  (assert (= first (attention #(model tokenizer) "aab")))      ; nothing dropped out
  (assert (all (gfor  m (.modules model)  m.training)))
  (assert (not-in True (lfor  m (.modules model)  (bool m._forward-hooks)))))

(defn test-layers-and-heads-count-from-1 []
  (setv about (small "gpt")
        one (attention about "aab" :layer 2 :head 1))
  (assert (= (lfor  l (get one "layers")  [(get l "layer") (len (get l "heads"))]) [[2 1]]))
  (assert (= (get one "layers" 0 "heads" 0)
             (get (attention about "aab") "layers" 1 "heads" 0)))
  (for [wrong [0 3 -1]]
    (with [_ (refused f"--layer is {wrong}" "has 2")] (attention about "aab" :layer wrong))
    (with [_ (refused f"--head is {wrong}" "has 2")] (attention about "aab" :head wrong))))

;;; The next token

(defn test-the-next-token-is-the-models []
  (setv about (subject #* (small "fast"))
        data (next-characters about "aab" :temperature 0.5 :top-k 2)
        logits (get (logits-of about [(.encode about.tokenizer "aab")]) 0 -1))
  (json.dumps data :allow-nan False)
  (assert-close (torch.tensor (get data "before")) (.softmax logits -1))
  (assert (= (.count (get data "after") 0.0) 1))
  (assert (= (np.shape (get data "logits")) #(3 3)))
  (assert (near (get data "entropy")
                (- (sum (gfor  p (get data "before")  (* p (log p))))) :within 1e-5))
  (with [_ (refused "--top-p is 2")] (next-characters about "a" :top-p 2)))

;;; Losses

(defn test-losses-by-position-average-to-the-loss [trained]
  (setv path (str (/ (. trained path parent parent) "ab.txt"))
        corpus (as-corpus path trained.tokenizer)
        data (loss-by-position trained path))
  (assert (= (get data "unit") "line"))
  (assert (= (get data "positions" -1) "↵"))
  (assert (near (np.mean (get data "loss"))
                (get (mean-loss trained.model (all-of corpus corpus.val 16)) 0) :within 1e-5))
  (assert (= (len (get data "floor")) 9))
  (assert (= (set (get data "counting")) #{"0" "1" "2" "3"})))

(defn [(pytest.mark.parametrize "block_size" [1 2 5 6])] test-what-windows-lose [block-size]
  "As the sampler shows them, token after token: each run of half a window in turn."
  (torch.manual-seed 1)
  (setv model (.eval (FastGPT (GPTConfig :vocab-size 5 :block-size block-size :n-embd 8 :n-head 2)))
        ids   (torch.randint 5 #(60)))
  (nn.init.normal_ model.lm-head.weight)
  (setv shares []
        found  (window-losses model ids block-size :most-work 1,000,000 :told shares.append))
  (assert (= (sum shares) (pytest.approx 1)))
  (for [window ["exact" "half"]]
    (setv losses [])
    (for [T (range (+ block-size 1) (+ block-size 1 (get found "tokens")))]
      (setv shown  (cut ids (dropped T block-size window) T)
            logits (next-logits model (.unsqueeze shown 0) :block-size block-size))     ; (1 V)
      (.append losses (.item (F.cross-entropy logits (cut ids T (+ T 1))))))
    (assert (= (get found window) (pytest.approx (fmean losses) :rel 1e-5))))
  (assert (> (+ block-size 1 (get found "tokens")) (- 60 block-size)))
  (assert (= (get (window-losses model ids block-size :most-work 1) "tokens")
             (* 2 (// (+ block-size 1) 2))))
  (with [_ (pytest.raises RequestError :match "too few to go beyond")]
    (window-losses model (cut ids block-size) block-size)))

(defn test-windows-have-the-floors-of-their-contexts [trained]
  (setv path (str (/ (. trained path parent parent) "ab.txt"))
        [model tokenizer] (small "gpt" :block-size 5)
        data (loss-by-position #(model tokenizer) path :windows 50))
  (assert (= (get data "unit") "window"))
  (assert (= (get data "floor") (cut (floors-by-context (ab-chain)) 1 6)))
  (assert (near (np.mean (get data "floor")) (window-floor (ab-chain) 5))))

(defn test-the-curve-of-a-run [trained]
  (setv data (loss-curve (. trained path parent)))
  (assert (= (get data "steps") [0 10 20]))
  (assert (= (len (get data "train")) (len (get data "val")) 3))
  (assert (= (get data "yardsticks") {})))

(defn test-metrics-are-read-with-suspicion [tmp-path]
  (with [_ (refused "was not trained here")] (loss-curve tmp-path))
  (setv path (/ tmp-path "metrics.jsonl")
        row "{\"event\": \"eval\", \"step\": 0, \"train_loss\": 1, \"val_loss\": 2}")
  (.write-text path (+ row "\nnonsense\n[1]\n" (* "[" 5000) "\n{\"event\": \"ev"))
  (assert (= (get (loss-curve tmp-path) "val") [2]))
  (.write-text path (.replace row "2" "NaN"))
  (with [_ (refused "val_loss = nan")] (loss-curve tmp-path))
  (.write-text path (.replace row "2" (* "9" 400)))
  (with [_ (refused "val_loss = 999")] (loss-curve tmp-path))
  (.write-text path "")
  (with [_ (refused "no evaluation yet")] (loss-curve tmp-path)))

;;; Embeddings

(defn test-a-plane-keeps-what-lies-in-a-plane []
  (setv flat (torch.randn 7 2 :generator (.manual-seed (torch.Generator) 0))
        [turn _] (torch.linalg.qr (torch.randn 5 5 :generator (.manual-seed (torch.Generator) 1)))
        [points shares] (projected (+ 3 (@ flat (cut turn 2)))))
  (assert-close (torch.cdist points points) (.double (torch.cdist flat flat))
                :rtol 1e-3 :atol 1e-3)
  (assert (near (float (.sum shares)) 1 :within 1e-6)))

(defn [(pytest.mark.parametrize #("stage" "tables") [#("bigram" 1) #("embedding" 1) #("gpt" 2)
                                                     #("fast" 2)])]
      test-each-stage-has-its-tables [stage tables]
  (setv data (embeddings (small stage)))
  (json.dumps data :allow-nan False)
  (assert (= (len (get data "groups")) tables))
  (assert (= (get data "groups" 0 "labels") ["↵" "a" "b"]))
  (setv cosines (np.array (get data "groups" 0 "cosines")))
  (assert (np.allclose (np.diag cosines) 1))
  (assert (np.allclose cosines (. cosines T))))

;;; Machines

(defclass LastToken [nn.Module]
  "What comes next depends on the last token alone, though there are positions."
  (defn __init__ [self rows block-size]
    (.__init__ (super))
    (setv self.token (nn.Embedding (len rows) (len rows))
          self.position (nn.Embedding block-size 1))
    (with [_ (torch.no-grad)]
      (.copy_ self.token.weight (.log (torch.tensor rows))))
    None)
  (defn forward [self ids]
    (self.token ids)))

(setv ROWS [[0.1 0.2 0.7] [0.3 0.3 0.4] [0.8 0.1 0.1]])

(defn test-a-machine-has-every-context []
  (setv about (small "gpt" :block-size 3)
        data (machine about)
        names (lfor  t [1 2 3]  c (product "↵ab" :repeat t)  (.join "" c))
        states (get data "states"))
  (json.dumps data :allow-nan False)
  (assert (= (lfor  s states  (get s "context")) names))
  (for [s states
        [token to] (zip "↵ab" (get s "to"))]
    (assert (= (get names to) (cut (+ (get s "context") token) -3 None))))
  (setv asked (next-characters about "ab\n")
        there (get states (.index names "ab↵")))
  (assert (np.allclose (get there "next") (get asked "before") :atol 1e-6)))

(defn test-where-a-machine-is-in-the-long-run []
  (setv data (machine (small "gpt" "ab" :block-size 4))
        states (get data "states")
        p (np.array (lfor  s states  (get s "next")))
        to (np.array (lfor  s states  (get s "to")))
        often (np.array (lfor  s states  (get s "stationary"))))
  (assert (near (.sum often) 1))
  (assert (np.allclose (@ often (transition-matrix p to)) often :atol 1e-12))
  (assert (near (get data "entropy_rate")
                (- (.sum (* (get often #((slice None) None)) p (np.log p)))) :within 1e-9))
  ;; Each token is as frequent as the states that end in it.
  (setv ends-in-b (sum (gfor  s states  :if (.endswith (get s "context") "b")
                              (get s "stationary"))))
  (assert (near (get (@ often p) 1) ends-in-b)))

(defn [(law (st.integers 1 8) (st.integers 0 1000))] test-two-ways-to-the-long-run [n seed]
  (setv draws (np.random.default-rng seed)
        matrix (** (.random draws #(n n)) 4)
        matrix (/ matrix (.sum matrix :axis 1 :keepdims True))
        out (by-elimination matrix))
  (assert (np.allclose (@ out matrix) out :atol 1e-10))
  (assert (np.allclose out (by-doubling matrix (/ (np.ones n) n)) :atol 1e-8)))

(defn test-a-chain-that-falls-apart []
  (setv apart (np.array [[0.5 0.5 0] [0 1.0 0] [0 0 1.0]]))
  (assert (is (by-elimination apart) None))
  (assert (np.allclose (by-doubling apart (/ (np.ones 3) 3)) [0 (/ 2 3) (/ 1 3)])))

(defn [(pytest.mark.parametrize #("V" "T" "words") [#(2 12 "--block-size 11 or less")
                                                    #(3 1,000,000 "--block-size 6 or less")
                                                    #(2048 2 "--block-size 1 or less")
                                                    #(2049 1 "may have: see --baby")])]
      test-too-many-states [V T words]
  (with [_ (refused words)]
    (check-size V T "it")))

(defn test-just-so-many-states []
  (for [[V T] [[1 1,000,000] [2 11] [2048 1] [3 6]]]
    (check-size V T "it")))

(defn test-the-frequent-count-for-more []
  (setv p (np.array [[0.5 0.5] [0.9 0.1]])
        merge (fn [weights] (merge-state (np.array [0 1]) ["a" "b"] p (np.array [[0 1] [0 1]])
                                         (np.array weights) (np.array [0 0]))))
  (assert (= (get (merge [0.1 0.3]) "next") (pytest.approx [0.8 0.2])))
  (assert (= (get (merge [0.1 0.3]) "contexts") ["b" "a"]))
  (assert (= (get (merge [0.0 0.0]) "next") (pytest.approx [0.7 0.3]))))

(defn test-a-piece-with-the-most-pairs []
  (for [[ids piece] [[[0 1 0 1 2 0 2] [0 1 2 0]]
                     [[0 1 2 3 0 2 1 3] [0 1 2 3]]          ; of equals the first
                     [[0 0 1 2 3 0 0] [0 0 1 2]]            ; a window that begins otherwise is none
                     [[0 0 0 0 0 2] [0 0 0 2]]]]            ; the last one
    (assert (= (eventful (torch.tensor ids) 4) piece))))

(defn test-states-that-behave-alike-are-one []
  (setv tokenizer (make-tokenizer "char" "ab\n")
        data (machine #((LastToken ROWS 3) tokenizer) :tolerance 1e-6))
  (assert (= (len (get data "states")) 39))
  (assert (= (len (get data "merged")) 3))
  (for [group (get data "merged")]
    (assert (= 1 (len (sfor  c (get group "contexts")  (get c -1)))))
    (assert (= (get group "to") [0 1 2])))
  (setv often (lfor  g (get data "merged")  (get g "stationary")))
  (assert (np.allclose (@ (np.array often) (np.array ROWS)) often :atol 1e-6)))

(defn test-the-same-probabilities-are-not-enough []
  "Two states look alike until their successors are told apart."
  (setv p  (np.array [[1.0 0.0] [1.0 0.0] [0.5 0.5] [0.9 0.1]])
        to (np.array [[2 0] [3 0] [2 2] [3 3]]))
  (assert (= (.tolist (merged p to 0.01)) [0 1 2 3]))
  (setv (get to #(1 0)) 2)
  (assert (= (.tolist (merged p to 0.01)) [0 0 1 2]))
  (setv (get to #(1 1)) 3)                  ; where what never comes would lead does not count
  (assert (= (.tolist (merged p to 0.01)) [0 0 1 2])))

(defn test-machines-have-a-limit []
  (with [_ (refused "3 tokens" "block size 8" "3^8" "--block-size 6 or less")]
    (machine (small "gpt" :block-size 8)))
  (with [_ (refused "--tolerance is -1")] (machine (small "gpt") :tolerance -1))
  (assert (machine (small "bigram") :tolerance 0))
  (assert (= (len (get (machine (small "bigram")) "states")) 3)))

(defn test-dot-text []
  (setv text (dot (machine (small "gpt" "\"\\" :block-size 2)))
        lines (.splitlines text))
  (assert (= (get lines 0) "digraph machine {"))
  (assert (= (get lines -1) "}"))
  (assert (in "\\\"" text))
  (for [line lines]                         ; quotes come in pairs, those that are escaped left out
    (setv bare (.replace (.replace line "\\\\" "") "\\\"" ""))
    (assert (= 0 (% (.count bare "\"") 2)))))

(defn test-the-baby-gpt []
  "Karpathy's notebook has 12,656 parameters and a loss of 0.46998 after 50 steps."
  (setv before (torch.get-rng-state)
        [baby losses] (baby-gpt :steps 300)
        floor (/ (log 2) 2))
  (assert (torch.equal before (torch.get-rng-state)))
  (assert (= 12656 (sum (gfor  w (.parameters baby.model)  (.numel w)))))
  (assert (near (get losses 49) 0.46998 :within 5e-5))
  (assert (< floor (get losses -1) (+ floor 0.005)))
  (setv states (dfor  s (get (machine baby) "states")  (get s "context") s))
  (assert (near (get states "111" "stationary") 0.4 :within 0.01))      ; as in 11110 11110 11110
  (assert (near (get states "111" "next" 0) 0.5 :within 0.01))
  (assert (< (get states "000" "stationary") 0.001)))

;;; Truth

(defn test-a-model-that-is-the-chain []
  (setv data (truth (handmade "ab") :chain (ab-chain)))
  (json.dumps data :allow-nan False)
  (assert (< (get data "kl") 1e-6))
  (assert (near (get data "floor") (get (floors-by-context (ab-chain)) -1)))
  (assert (np.allclose (get data "transitions" "true") (get data "transitions" "model")
                       :atol 1e-5))
  (assert (near (get data "share") 1)))

(defn test-what-is-lost-is-floor-and-divergence [trained]
  (setv path (str (/ (. trained path parent parent) "ab.txt"))
        data (truth trained :text path)
        contexts (get data "contexts"))
  (assert (= (get data "against") "chain"))
  (assert (near (get data "loss") (+ (get data "floor") (get data "kl"))))
  (assert (near (sum (gfor  c contexts  (* (get c "weight") (get c "kl")))) (get data "kl")))
  (assert (near (np.mean (get data "by_position" "loss")) (get data "loss")))
  (for [c contexts]
    (assert (>= (get c "kl") 0))
    (assert (near (sum (get c "true")) 1))))

(defn test-what-it-loses-is-what-evaluation-finds [trained]
  "Lines drawn without end lose what all lines lose on average: near what 40 lines lost."
  (setv path (str (/ (. trained path parent parent) "ab.txt"))
        corpus (as-corpus path trained.tokenizer)
        [loss error] (mean-loss trained.model (all-of corpus corpus.val 16)))
  (assert (near (get (truth trained :text path) "loss") loss :within (* 4 error))))

(defn test-windows-that-do-not-see-the-line []
  (setv data (truth (small "gpt" :block-size 3) :chain (ab-chain)))
  (assert (is (get data "by_position") None))
  (assert (near (get data "floor") (get (floors-by-context (ab-chain)) 3) :within 0.01))
  (assert (> (get data "kl") 0)))

(defn test-beside-what-was-counted [tmp-path]
  (setv path (/ tmp-path "t.txt"))
  (.write-text path (* "abba a\n" 60))
  (setv [model tokenizer] (small "gpt" "ab \n")
        data (truth #(model tokenizer) :text path))
  (assert (= (get data "against") "counting"))
  (assert (= (sorted (get data "chars")) (sorted "ab␣↵")))
  (assert (near (sum (gfor  c (get data "contexts")  (get c "weight"))) 1))
  (for [row (get data "transitions" "model")]
    (assert (near (sum row) 1 :within 1e-6))))

(defn test-truth-needs-characters []
  (setv [model _] (small "gpt"))
  (with [_ (refused "give --chain")] (truth (small "gpt")))
  (with [_ (refused "the chain has characters")] (truth (small "gpt" "xy\n") :chain (ab-chain))))

(defn [(law (st.lists (st.integers 0 9) :min-size 3 :max-size 3) (st.lists (st.integers 1 9)
                                                                      :min-size 3 :max-size 3))]
      test-divergence-is-never-negative [x y]
  (setv p (/ (+ (np.array x) 1e-9) (sum (+ (np.array x) 1e-9)))
        q (/ (np.array y) (sum y)))
  (assert (>= (divergence p q) 0))
  (assert (near (divergence p p) 0)))

;;; The command

(defn test-the-command-prints-what-was-found [trained capsys]
  (setv path (. trained path parent))
  (for [what ["attention" "next" "positions" "loss" "embeddings" "truth"]]
    (assert (= 0 (inspect what :ckpt path :as-json True)))
    (assert (= what (get (json.loads (. (capsys.readouterr) out)) "kind")))
    (inspect what :ckpt path)
    (assert (in "?" (. (capsys.readouterr) out)))))

(defn test-the-command-writes-files [trained tmp-path capsys]
  (setv name (fn [suffix] (/ tmp-path f"x.{suffix}")))
  (inspect "chain" :baby True :png (name "png") :svg (name "svg") :dot (name "dot"))
  (setv heard (capsys.readouterr))
  (assert (= heard.out ""))
  (assert (= (.count heard.err "wrote") 3))
  (assert (= (sorted (lfor  f (.iterdir tmp-path)  f.name)) ["x.dot" "x.png" "x.svg"])))

(defn test-a-zero-is-something-asked-for [trained capsys]
  (setv path (. trained path parent))
  (inspect "next" :ckpt path :temperature 0 :as-json True)
  (assert (= 0 (get (json.loads (. (capsys.readouterr) out)) "temperature")))
  (with [_ (refused "layer is 0")] (inspect "attention" :ckpt path :layer 0))
  (with [_ (refused "layer is 0")] (inspect "attention" :ckpt path :layer 0 :by-hand True)))

(defn test-wrong-requests [trained tmp-path]
  (setv path (. trained path parent))
  (with [_ (refused "--top-k has no meaning" "inspect next")] (inspect "attention" :top-k 3))
  (for [kind ["png" "svg" "html" "dot"]]
    (with [_ (refused f"does not end in .{kind}")]
      (inspect "chain" :baby True #** {kind "best.safetensors"}))
    (with [_ (refused "the folder nowhere does not exist")]
      (inspect "chain" :baby True #** {kind f"nowhere/chain.{kind}"})))
  (with [_ (refused "--baby" "--ckpt")] (inspect "chain" :ckpt path :baby True))
  (with [_ (refused "16")] (inspect "chain" :ckpt path))
  (with [_ (refused "no file")] (inspect "truth" :ckpt path :chain "nowhere.toml"))
  (with [_ (refused "name a text")] (inspect "positions" :baby True)))

(defn test-the-command-line [cli]
  (setv done (cli "inspect" "chain" "--baby" "--json"))
  (assert (= done.returncode 0) done.stderr)
  (assert (= (len (get (json.loads done.stdout) "states")) 14)))

(defn test-the-error-of-each-position []
  "What batches give together: the deviation over the root of the rows."
  (setv [model _] (small "gpt")
        [x y]     (lfor  seed [1 2]
                    (torch.randint 3 #(20 6) :generator (.manual-seed (torch.Generator) seed))))
  (with [_ (torch.no-grad)]
    (setv losses (.double (token-losses model x y))))
  (setv [mean error rows] (mean-by-position model [[(cut x 8) (cut y 8)]
                                                   [(cut x 8 None) (cut y 8 None)]]))
  (assert (= rows 20))
  (assert-close (torch.tensor mean :dtype torch.float64) (.mean losses 0))
  (assert-close (torch.tensor error :dtype torch.float64)
                (/ (.std losses 0 :correction 0) (** 20 0.5))))

(defn test-windows-are-as-many-as-asked-for-and-repeat [ab]
  (setv about (small "gpt" :block-size 5)
        data  (fn [#** how] (loss-by-position about ab :windows 50 #** how))
        once  (data))
  (assert (= (get once "rows") 50))
  (torch.rand 1)                                    ; torch's own generator has no part in it
  (assert (= once (data)))
  (assert (!= (get once "loss") (get (data :seed 7) "loss"))))

(defn test-windows-of-a-whole-line-have-its-floor [ab]
  (setv data (loss-by-position (small "gpt" :block-size 8) ab :windows 20))
  (assert (= (get data "unit") "window"))
  (assert (= (get data "floor") (cut (floors-by-context (ab-chain)) 1 None))))

(defn test-the-error-of-what-windows-cost []
  "That of the mean difference, one for each run of half a window."
  (torch.manual-seed 1)
  (setv model (.eval (FastGPT (GPTConfig :vocab-size 5 :block-size 4 :n-embd 8 :n-head 2)))
        ids   (torch.randint 5 #(40)))
  (nn.init.normal_ model.lm-head.weight)
  (defn loss [T window]
    (setv context (cut ids (dropped T 4 window) T))
    (.item (F.cross-entropy (next-logits model (.unsqueeze context 0) :block-size 4)
                            (cut ids T (+ T 1)))))
  (setv found (window-losses model ids 4)
        costs (lfor  T (range 5 (+ 5 (get found "tokens")))  (- (loss T "half") (loss T "exact")))
        runs  (lfor  [a b] (zip (cut costs None None 2) (cut costs 1 None 2))  (/ (+ a b) 2)))
  (assert (= (get found "error") (pytest.approx (/ (stdev runs) (** (len runs) 0.5)) :rel 1e-4))))

(defn test-more-weights-than-anybody-can-look-at [monkeypatch]
  (monkeypatch.setattr looking "MOST" 35)           ; 3 x 3 in two layers of two heads are 36
  (with [_ (refused "3 tokens make more than 35 weights")]
    (attention (small "gpt") "aab"))
  (assert (attention (small "gpt") "aab" :layer 1))
  (monkeypatch.setattr looking "MOST" 36)
  (assert (attention (small "gpt") "aab")))

(defn test-axes-have-shares-and-a-sign []
  "The squares along an axis are its share of all; what lies farthest out is at the right, or up."
  (setv vectors (torch.tensor [[-5.0 0 1 0] [1 1 1 0.5] [2 -3 1 0] [2 0 1 0]])
        apart   (- vectors (.mean vectors 0))
        [points shares] (projected vectors))
  (assert-close shares (/ (.sum (** points 2) 0) (.double (.sum (** apart 2)))))
  (for [axis [0 1]]
    (setv xs (ncut points : axis))
    (assert (> (get xs (.argmax (.abs xs))) 0))))

(defn test-positions-count-from-1 []
  (assert (= (get (embeddings (small "gpt")) "groups" 1 "labels") (list "123456"))))

(setv MACHINE {"alphabet" ["a" "b"]
               "merged" [{"contexts" (list "uvwxyz")  "stationary" 0.25
                          "next" [0.996 0.004]  "to" [1 0]}
                         {"contexts" ["t"]  "stationary" 0.75  "next" [0.4 0.6]  "to" [0 1]}]
               "states" [{"context" "s"  "stationary" 1.0  "next" [1.0 0.0]  "to" [0 0]}]})

(defn test-dot-line-by-line []
  (assert (= (cut (.splitlines (dot MACHINE)) 2 None)
             ["  s0 [label=\"u v w x +2\\n25.0 %\"];"
              "  s1 [label=\"t\\n75.0 %\"];"
              "  s0 -> s1 [label=\"a 1.00\"];"
              "  s1 -> s0 [label=\"a 0.40\"];"
              "  s1 -> s1 [label=\"b 0.60\"];"
              "}"]))
  (assert (in "a 0.40" (dot MACHINE :least 0.4)))
  (assert (in "s0 [label=\"s\\n100.0 %\"]" (dot MACHINE :merged False))))

(defn test-arrows-go-from-a-state-to-the-next [monkeypatch]
  "On a circle, clockwise from the top; what is unlikely has none."
  (setv drawn [])
  (monkeypatch.setattr graph "arrow"
                       (fn [axes start end p #* _] (.append drawn [start end p])))
  (graph.draw-states (.subplots (new-figure)) (get MACHINE "merged") "")
  (setv [top below] (graph.on-circle 2))
  (assert (= top (pytest.approx [0 1] :abs 1e-9)))
  (assert (= (lfor  x (get (graph.on-circle 4) 1)  (round x 9)) [1 0]))
  (assert (= drawn [[top below 0.996] [below top 0.4] [below below 0.6]])))

(defn test-counting-by-hand [tmp-path]
  "A bigram says the same after a token wherever it stands; the text is counted in plain loops."
  (setv path (/ tmp-path "t.txt"))
  (.write-text path (* "abba aab\n" 60))
  (setv [model tokenizer] (small "bigram" "ab \n")
        data  (truth #(model tokenizer) :text path)
        ids   (.tolist (. (as-corpus (str path) tokenizer) val))
        pairs (list (zip ids (cut ids 1 None)))
        often (dfor  i (range 4)  i (len (lfor  [a _] pairs  :if (= a i)  a)))
        order (sorted often :key (fn [i] #((- (get often i)) i)))
        table (.softmax (.detach (get (list (.parameters model)) 0)) -1))
  (assert (= (get data "chars") (lfor  i order  (get "↵␣ab" i))))
  (for [[i c true said] (zip order (get data "contexts") #* (lfor  key ["true" "model"]
                                                              (get data "transitions" key)))]
    (assert (near (get c "weight") (/ (get often i) (len pairs))))
    (assert (= true (get c "true")
               (lfor  j order  (/ (.count pairs #(i j)) (get often i)))))
    (assert-close (torch.tensor said) (get table i order)))
  (assert (near (get data "kl")
                (sum (gfor  c (get data "contexts")  (* (get c "weight") (get c "kl")))))))

(defn test-a-token-that-no-window-holds-is-not-judged [tmp-path]
  "The last tokens of the validation part fill no window: of those that stand nowhere else the model
  was never asked, so they are no loss of 690 nats."
  (setv path (/ tmp-path "t.txt"))
  (.write-text path (+ (* "ab" 200) (* "ba" 10) "cdcdcdcd"))
  (setv data (truth (small "gpt" (.read-text path) :block-size 16) :text path))
  (assert (= (get data "chars") ["b" "a"]))
  (assert (= 1 (pytest.approx (sum (gfor  c (get data "contexts")  (get c "weight"))))))
  (assert (< (get data "kl") 20)))

(defn test-a-context-of-a-line-without-its-newline-does-not-see-the-line []
  (for [[block-size sees] [[8 False] [9 True]]]
    (setv data (truth (small "gpt" :block-size block-size) :chain (ab-chain)))
    (assert (= sees (is-not (get data "by_position") None)))))

(defn test-contexts-beyond-the-likeliest-are-left-out [monkeypatch]
  "What is told is then a mean over those that were looked at."
  (monkeypatch.setattr truths "MOST_CONTEXTS" 5)
  (setv data (truth (small "gpt" :block-size 9) :chain (ab-chain))
        each (get data "contexts"))
  (assert (= (len each) 5))
  (assert (< 0.1 (get data "share") 0.5))
  (assert (near (sum (gfor  c each  (get c "weight"))) 1))
  (assert (near (get data "kl") (sum (gfor  c each  (* (get c "weight") (get c "kl")))))))

(defn test-what-is-all-but-ruled-out-costs-much []
  (assert (near (divergence (np.array [1.0 0.0]) (np.array [1e-9 (- 1 1e-9)])) (* 9 (log 10)))))

(defn test-what-is-asked-for-is-done [trained capsys]
  (defn found [what #** options]
    (inspect what :as-json True #** options)
    (json.loads (. (capsys.readouterr) out)))
  (setv path (. trained path parent))
  (assert (= 1 (len (get (found "chain" :baby True :tolerance 1.0) "merged"))))
  (setv next (found "next" :ckpt path :top-k 1 :top-p 0.5))
  (assert (= [(get next "top_k") (get next "top_p") (.count (get next "after") 0.0)] [1 0.5 2]))
  (assert (= (lfor  h (get (found "attention" :ckpt path :head 2) "layers" 0 "heads")
                      (get h "head"))
             [2]))
  (assert (in "counting pairs" (get (found "loss" :ckpt path) "yardsticks")))
  (inspect "attention" :ckpt path :by-hand True :layer 1 :head 2)
  (assert (in "layer 1, head 2" (.join " " (.split (. (capsys.readouterr) out))))))

(defn test-a-prompt-of-the-text-is-short [trained monkeypatch]
  (monkeypatch.setattr asking "SHOWN" 5)
  (assert (= 5 (len (asking.prompt-of trained None))))
  (monkeypatch.setattr asking "SHOWN" 50)
  (assert (= trained.config.block-size (len (asking.prompt-of trained None)))))

(defn test-a-page-has-what-can-be-had [trained]
  (setv [found missing] (asking.all-that-can "next" trained {}))
  (assert (= (len found) 6))
  (assert (= (len missing) 1))
  (assert (in "There is no picture for chain here: " (get missing 0)))
  (with [_ (refused "3^16 contexts")]
    (asking.all-that-can "chain" trained {})))

(defn test-dot-is-the-machine-whatever-else-is-asked-for [trained tmp-path capsys]
  (inspect "chain" :baby True :dot (/ tmp-path "a.dot"))
  (inspect None :baby True :html (/ tmp-path "p.html") :dot (/ tmp-path "b.dot"))
  (assert (= (.read-text (/ tmp-path "a.dot")) (.read-text (/ tmp-path "b.dot")))))

(defn test-a-baby-has-no-curve-of-another-run [trained monkeypatch]
  (.chdir monkeypatch trained.path.parent)
  (with [_ (refused "keeps no curves")]
    (inspect "loss" :baby True :as-json True)))

(defn test-a-page-says-what-the-model-is [trained tmp-path]
  (inspect "next" :ckpt trained.path.parent :html (/ tmp-path "p.html"))
  (assert (in "1 layers, 2 heads, 8 channels, context 16, 3 tokens"
              (.read-text (/ tmp-path "p.html") :encoding "utf-8"))))

(defn test-by-hand-are-four-tokens-of-the-text [trained monkeypatch]
  (setv asked [])
  (monkeypatch.setattr by-hand "attention_by_hand"
    (fn [trained prompt * layer head console] (.append asked [(len prompt) layer head])))
  (inspect "attention" :ckpt trained.path.parent :by-hand True :head 2)
  (assert (= asked [[4 1 2]])))

(defn test-json-needs-to-know-of-what [tmp-path]
  (with [_ (refused "inspect needs WHAT")]
    (inspect None :as-json True :html (/ tmp-path "p.html"))))

(defn test-an-empty-prompt-is-no-prompt-left-out [trained]
  (with [_ (refused "prompt is empty")]
    (inspect "next" :ckpt trained.path.parent :prompt "")))

(defn test-a-prompt-of-the-text-begins-where-a-line-ends [trained]
  (assert (.startswith (asking.prompt-of trained None) "\n")))

(defn test-a-text-that-was-asked-for-has-to-be-there [trained]
  (with [_ (refused "no file")]
    (inspect "loss" :ckpt trained.path.parent :text "nowhere.txt")))

(defn test-a-baby-is-shown-what-fits-into-its-context [capsys]
  (inspect "next" :baby True :as-json True)
  (assert (not (get (json.loads (. (capsys.readouterr) out)) "left_out"))))

(defn test-lines-are-about-as-many-as-windows-asked-for [trained ab]
  (assert (= 10 (get (loss-by-position trained ab :windows 10) "rows"))))

(defn [(pytest.mark.parametrize #("characters" "positions") [#(40 ["1" "2" "3"])
                                                             #(20 ["1"])])]
      test-a-short-text-has-fewer-positions [tmp-path characters positions]
  (.write-text (/ tmp-path "t.txt") (cut (* "ab\n" 20) characters))
  (assert (= positions (get (loss-by-position (small "gpt") (str (/ tmp-path "t.txt")))
                            "positions"))))

(defn test-one-token-cannot-be-judged [tmp-path]
  (.write-text (/ tmp-path "t.txt") "ab\nab\nab\na")
  (with [_ (refused "too short: use a longer text")]
    (loss-by-position (small "gpt") (str (/ tmp-path "t.txt")))))

(defn test-a-model-without-a-context-is-asked-for-8-positions [ab]
  (assert (= (get (loss-by-position (small "bigram") ab :windows 10) "positions")
             (list "12345678"))))

(defn test-the-yardsticks-of-a-curve [trained ab]
  (assert (= (set (get (loss-curve trained.path.parent :text ab :tokenizer trained.tokenizer)
                       "yardsticks"))
             #{"guessing" "counting pairs" "floor"})))
