"Weights by hand: exact probabilities, texts that are never wrong, and life as a checkpoint."

(eval-when-compile
  (require hyrule [ncut]))
(import  contextlib [redirect-stdout redirect-stderr]
         io [StringIO]
         itertools [product]
         math [log]
         re
         pytest
         torch
         torch.nn :as nn
         torch.nn.functional :as F
         nanogpt-hy.course [cross-entropy generate next-logits]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.fast [from-course]
         nanogpt-hy.lab.checkpoints.checkpoint [load-checkpoint save-checkpoint]
         nanogpt-hy.lab.checkpoints.trained [open-model]
         nanogpt-hy.lab.data.markov [ab-chain Chain draw-lines floor next-probabilities]
         nanogpt-hy.lab.handmade [build chain-plan command config-of handmade write-handmade]
         nanogpt-hy.lab.inside.attention [attention]
         nanogpt-hy.lab.sampler [sample-texts Settings])

(setv each-model (pytest.mark.parametrize "name" ["ab" "aab" "copy"])
      CYCLE "aabaabaabaabaabaabaabaab")

(defn [(torch.no-grad)] chances [made text]
  "Trained, str -> {character: p}: what comes next, of a text that may be longer than the window."
  (setv ids    (torch.tensor [(.encode made.tokenizer text)])
        logits (next-logits made.model ids :block-size made.config.block-size))
  (dict (zip made.tokenizer.chars (.tolist (F.softmax (.double (get logits 0)) :dim -1)))))

(defn written [made prompt count * [greedy False] [seed 1]]
  "Trained, str -> str: the PROMPT and COUNT characters more, as `sample` would write them."
  (get (sample-texts made.model made.tokenizer (StringIO) :prompt prompt
                     :settings (Settings :max-new-tokens count :seed seed
                                         :temperature (if greedy 0 1))
                     :starts (get made.meta "data" "starts")
                     :block-size made.config.block-size)
       0))


;;; All three

(defn [each-model] test-a-layer-norm-changes-nothing [name]
  (setv made  (handmade name)
        apart []
        text  (* (cut (.join "" made.tokenizer.chars) 2) made.config.block-size))
  (for [layer (.modules made.model)  :if (isinstance layer nn.LayerNorm)]
    (.register-forward-hook layer
      (fn [layer inputs output] (.append apart (.max (.abs (- output (get inputs 0))))))))
  (chances made text)
  (assert (= (len apart) 3))
  (assert (< (max apart) 1e-5)))

(defn [each-model] test-nothing-is-drawn [name]
  (setv before (torch.get-rng-state)
        [one other] (lfor  _ "12"  (. (handmade name) model (state-dict))))
  (assert (torch.equal before (torch.get-rng-state)))
  (for [key one]
    (assert (torch.equal (get one key) (get other key)))))

(defn [each-model] test-the-fast-gpt-agrees [name]
  (setv made (handmade name)
        ids  (torch.randint made.config.vocab-size #(4 made.config.block-size)
                            :generator (.manual-seed (torch.Generator) 1)))
  (with [_ (torch.no-grad)]
    (torch.testing.assert-close ((from-course made.model made.config) ids) (made.model ids)
                                :rtol 1e-4 :atol 1e-3)))

(defn test-the-head-size-has-a-whole-root []
  (for [name ["ab" "aab" "copy"]]
    (setv c (. (handmade name) config)
          D (// c.n-embd c.n-head))
    (assert (in D [4 9 16 25 36]))))


;;; The a/b chain

(defn [(torch.no-grad)] expected-loss [made chain]
  "Nats per token over all lines of an a/b chain, each as often as it is drawn."
  (setv L     chain.line-length
        lines (sfor  n (range (+ L 1))  (+ (* "a" n) (* "b" (- L n))))
        total 0)
  (for [line lines]
    (setv p (get chain.start (.index "ab" (get line 0))))
    (for [[c d] (zip line (cut line 1 None))]
      (setv p (* p (get chain.transitions (.index "ab" c) (.index "ab" d)))))
    (when p
      (setv ids (torch.tensor [(.encode made.tokenizer (+ "\n" line "\n"))])
            total (+ total (* p (.item (cross-entropy (made.model (ncut ids : (: -1)))
                                                      (ncut ids : 1:))))))))
  total)

(defn [(pytest.mark.parametrize #("stay" "length")
        [#(0.5 8) #(0.5 16) #(0.7 8) #(0.9 16) #(0.0 4) #(1.0 4) #(0.5 1) #(0.3 2) #(1e-6 3)])]
    test-ab-reaches-the-floor [stay length]
  (setv chain (ab-chain :stay stay :length length)
        made  (handmade "ab" :stay stay :length length))
  (assert (< (abs (- (expected-loss made chain) (floor chain))) 1e-5)))

(defn contexts [chain longest]
  "-> strings: all that the stream can hold, of at most LONGEST characters."
  (setv lines (lfor  word (product chain.chars :repeat chain.line-length)
                     :if (possible chain (+ "\n" (.join "" word)))
                     (+ (.join "" word) "\n")))
  (sfor  [a b] (product lines :repeat 2)
         text [(+ a b)]
         i (range (len text))
         n (range 1 (+ longest 1))
         :if (<= (+ i n) (len text))
         (cut text i (+ i n))))

(defn possible [chain context]
  (try (bool (next-probabilities chain context))
    (except [RequestError] False)))

(setv SPARSE (Chain "xyz" [0.25 0 0.75] [[0 0.9 0.1] [0.5 0.5 0] [0 1 0]] 3))

(defn [(pytest.mark.parametrize "chain"
        [(ab-chain :length 3) (ab-chain :stay 0.7 :length 4) (ab-chain :stay 1 :length 3)
         (ab-chain :stay 0.9 :length 2 :start "a") SPARSE]
        :ids ["ab" "stay 0.7" "stay 1" "starts with a" "xyz"])]
    test-every-context-of-a-chain-has-its-exact-probabilities [chain]
  "Also one that begins inside a line: then all places are weighed that it can have."
  (setv [model config] (build (chain-plan chain))
        chars (sorted (+ chain.chars "\n"))
        some  (sorted (contexts chain config.block-size) :key (fn [text] #((len text) text)))
        seen  #{})
  (for [n (range 1 (+ config.block-size 1))]
    (setv texts (lfor  text some  :if (= (len text) n)  text)
          ids   (torch.tensor (lfor  text texts  (lfor  c text  (.index chars c))))
          true  (lfor  text texts
                       (lfor  c chars  (get (next-probabilities chain text) c))))
    (with [_ (torch.no-grad)]
      (setv learned (F.softmax (ncut (.double (model ids)) : -1) :dim -1)))
    (torch.testing.assert-close learned (torch.tensor true :dtype torch.float64)
                                :rtol 0 :atol 1e-5)
    (.update seen texts))
  (assert (= seen (set some)))
  (assert (> (len seen) 10)))

(defn test-lines-that-it-writes-are-the-chains []
  (setv made  (handmade "ab" :length 5)
        ids   (torch.full #(40 1) (get (.encode made.tokenizer "\n") 0))
        texts (map made.tokenizer.decode
                   (.tolist (generate made.model ids 60 :block-size made.config.block-size
                                      :generator (.manual-seed (torch.Generator) 5))))
        lines (lfor  text texts  line (.split (.strip text "\n") "\n")  line))
  (assert (= (len lines) 400))
  (for [line lines]
    (assert (re.fullmatch "(?=.{5}$)a*b*" line)))
  (assert (< 160 (sum (gfor  line lines  (.startswith line "a"))) 240)))

(defn test-ab-from-the-commands-view []
  (setv made (handmade "ab"))
  (for [line (.splitlines (written made "" 180))]
    (assert (re.fullmatch "(?=.{8}$)a*b*" line)))
  (setv text (written made "\nab" 15 :greedy True))
  (assert (= (cut text 10) "\nabbbbbbb\n")))

(defn test-ab-on-drawn-lines []
  "Their own mean loss is near the floor; what the model loses on them is what the chain says."
  (setv chain (ab-chain)
        made  (handmade "ab")
        text  (+ "\n" (draw-lines chain 50 :seed 7))
        surprise (gfor  i (range 1 (len text))
                        (- (log (get (next-probabilities chain (cut text (max 0 (- i 9)) i))
                                     (get text i)))))
        ids  (torch.tensor (.encode made.tokenizer text))
        rows (.unfold ids 0 10 9))                         ; a newline and a line with its own
  (with [_ (torch.no-grad)]
    (setv loss (cross-entropy (made.model (ncut rows : (: -1))) (ncut rows : 1:))))
  (assert (< (abs (- loss (/ (sum surprise) 450))) 1e-5)))


;;; aabaabaab...

(defn [(pytest.mark.parametrize "greedy" [True False])] test-aab-is-never-wrong [greedy]
  "From any prompt of the cycle, shorter or longer than the window, and on past it."
  (setv made (handmade "aab"))
  (for [start (range 3)
        length (range 1 13)]
    (setv prompt (cut CYCLE start (+ start length))
          text   (written made prompt 30 :greedy greedy))
    (assert (= (len text) (+ length 30)))
    (assert (in text (* CYCLE 3)))))

(defn test-aab-is-sure []
  (setv made (handmade "aab"))
  (for [start (range 3)
        length (range 2 13)]
    (setv prompt (cut CYCLE start (+ start length))
          next   (get CYCLE (+ start length)))
    (assert (> (get (chances made prompt) next) (- 1 1e-12))))
  (assert (> (get (chances made "b") "a") (- 1 1e-12))))

(defn test-a-lone-a-may-be-either []
  (setv p (get (chances (handmade "aab") "a") "b"))
  (assert (< (abs (- p 0.5)) 1e-4)))

(defn test-aab-finds-back []
  "A text that is not of the cycle is so no longer after two characters."
  (setv made (handmade "aab"))
  (for [prompt (gfor  word (product "ab" :repeat 5)  (.join "" word))]
    (assert (in (cut (written made prompt 12) 5 None) (* CYCLE 2)))))

(defn [(pytest.mark.parametrize "block_size" [2 3 8])] test-aab-with-any-window [block-size]
  (setv made (handmade "aab" :block-size block-size))
  (assert (= (written made "aab" 21) CYCLE)))

(defn test-there-are-positions-for-the-window-only []
  "The model itself cannot be shown more; whoever samples shows it the last block-size."
  (setv made (handmade "aab"))
  (with [_ (pytest.raises IndexError)]
    (made.model (torch.zeros #(1 6) :dtype torch.long))))

(defn test-a-window-of-one-shows-no-past []
  (with [_ (pytest.raises RequestError :match "block-size is 1")]
    (handmade "aab" :block-size 1)))


;;; The copying head

(defn [(pytest.mark.parametrize "name" ["aab" "copy"])] test-a-head-looks-one-back [name]
  (setv made    (handmade name)
        text    (cut "aabbaababb" made.config.block-size)
        heads   (get (attention made text) "layers" 0 "heads")
        weights (torch.tensor (get heads 0 "weights"))
        T       (len text)
        before  (torch.zeros T T))
  (setv (get before #(0 0)) 1)
  (for [t (range 1 T)]
    (setv (get before #(t (- t 1))) 1))
  (assert (= (len heads) 1))
  (torch.testing.assert-close weights before :rtol 0 :atol 1e-9))

(defn test-copy-says-the-one-before-the-last []
  (setv made (handmade "copy"))
  (for [prompt (gfor  word (product "abc" :repeat 3)  (.join "" word))]
    (assert (> (get (chances made prompt) (get prompt 1)) (- 1 1e-12)))
    (assert (= (written made prompt 20) (+ (get prompt 0) (* (cut prompt 1 None) 11)))))
  (assert (= (written made "c" 4) "ccccc")))

(defn test-copy-knows-other-letters []
  (setv made (handmade "copy" :chars "hello world" :block-size 6))
  (assert (= (written made "hello wor" 6) "hello worororor")))


;;; As a checkpoint

(defn [each-model] test-saved-and-opened-it-is-the-same [tmp-path name]
  (setv made   (handmade name)
        path   (write-handmade name (/ tmp-path name))
        opened (open-model path.parent))
  (assert (= path (/ tmp-path name "best.safetensors")))
  (assert (= opened.config made.config))
  (assert (= opened.tokenizer.chars made.tokenizer.chars))
  (assert (= (get opened.meta "handmade" "name") name))
  (assert (= (get opened.meta "stage") "gpt"))
  (for [[key weight] (.items (.state-dict made.model))]
    (assert (torch.equal weight (get (.state-dict opened.model) key))))
  (assert (= (written made "a" 20) (written opened "a" 20))))

(defn test-it-may-be-written-again-but-not-over-a-trained-one [tmp-path]
  (setv path (write-handmade "ab" tmp-path :stay 0.5))
  (write-handmade "ab" tmp-path :stay 0.7)
  (setv [tensors meta] (load-checkpoint path))
  (del (get meta "handmade"))
  (save-checkpoint path tensors meta)
  (setv before (.read-bytes path))
  (with [_ (pytest.raises RequestError :match "not made by hand: use another --out")]
    (write-handmade "aab" tmp-path))
  (assert (= before (.read-bytes path))))

(defn test-a-folder-that-cannot-be [tmp-path]
  (.write-text (/ tmp-path "file") "")
  (with [_ (pytest.raises RequestError :match "cannot be a folder")]
    (write-handmade "aab" (/ tmp-path "file" "here"))))

(defn [(pytest.mark.parametrize #("options" "words") [
        #({"name" "aba"}                     "no handmade model aba: did you mean ab?")
        #({"name" "aab"  "stay" 0.5}         "--stay is about the a/b chain")
        #({"name" "copy"  "length" 4}        "--length is about the a/b chain")
        #({"name" "ab"  "stay" 2.0}          "--stay is 2.0")
        #({"name" "ab"  "length" 0}          "line length is 0")
        #({"name" "ab"  "length" 400000}     "more than 1024: use shorter lines")])]
      test-wrong-requests [tmp-path options words]
  (with [_ (pytest.raises RequestError :match (re.escape words))]
    (command #** options :out tmp-path))
  (assert (not (list (.iterdir tmp-path)))))

(defn test-the-longest-lines-fit []
  (assert (<= (. (config-of (chain-plan (ab-chain :length 150))) n-embd) 1024)))

(defn test-the-command [tmp-path monkeypatch]
  (.chdir monkeypatch tmp-path)
  (setv [out err] [(StringIO) (StringIO)])
  (with [_ (redirect-stdout out)  _ (redirect-stderr err)]
    (setv code (command "ab" :stay 0.9 :length None)))
  (assert (= code 0))
  (assert (= (.replace (.getvalue out) "\\" "/") "runs/handmade-ab/best.safetensors\n"))
  (assert (in "nanogpt-hy sample --ckpt" (.getvalue err)))
  (setv chain  (ab-chain :stay 0.9)
        opened (open-model))                       ; it is the newest run
  (assert (< (abs (- (expected-loss opened chain) (floor chain))) 1e-5)))

(defn test-the-command-line [cli]
  (setv made (cli "handmade" "aab"))
  (assert (= made.returncode 0))
  (assert (in "sample --ckpt" made.stderr))
  (setv text (cli "sample" "--ckpt" "runs/handmade-aab" "--prompt" "aab" "--max-new-tokens" 21))
  (assert (= text.stdout (+ CYCLE "\n"))))

(defn test-a-text-begins-as-lines-do []
  (setv chain (Chain "xyz" [0.25 0 0.75] [[0 0.9 0.1] [0.5 0.5 0] [0 1 0]] 3))
  (assert (= (. (chain-plan chain) starts) {"x" 250  "z" 750})))
