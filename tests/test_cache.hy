"KVCache says what next-logits says, whatever it is asked; the sampler draws the same tokens through
it, one sample at a time or many; and what --window half shows the model."

(eval-when-compile
  (require hyrule [ncut]))
(import  dataclasses [replace]
         gc
         io [StringIO]
         itertools [product]
         weakref
         hypothesis [given settings strategies :as st]
         pytest
         recordings [recordable]
         torch
         torch.nn :as nn
         torch.nn.functional :as F
         torch.testing [assert-close]
         nanogpt-hy.config [GPTConfig TrainConfig]
         nanogpt-hy.course [Bigram cross-entropy GPT next-logits]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.fast [FastGPT]
         nanogpt-hy.inference [block linear]
         nanogpt-hy.kv-cache :as kv-cache
         nanogpt-hy.kv-cache [KVCache memory-for]
         nanogpt-hy.lab.data.tokenizers [make-tokenizer]
         nanogpt-hy.lab.explaining [explain]
         nanogpt-hy.lab.filters [filtered-probabilities]
         nanogpt-hy.lab.modes [in-eval-mode]
         nanogpt-hy.lab.sampler [asker batches draw dropped sample-generator sample-texts
                                 SEPARATOR Settings steps tokens]
         nanogpt-hy.lab.training.descent [Descent]
         nanogpt-hy.lab.training.device [with-threads])

(setv SMALL (GPTConfig :vocab-size 11 :block-size 6 :n-layer 2 :n-head 2 :n-embd 8)
      TEXT  "the cat sat on the mat\nand 'it' was\n")

(defn sharp [c * [make FastGPT] [seed 1]]
  "A model of firm opinions: all weights, biases and norms too, from N(0, 0.3)."
  (torch.manual-seed seed)
  (setv model (make c))
  (for [weight (.parameters model)]
    (nn.init.normal_ weight :std 0.3))
  (.eval model))

(defn random-ids [B T * [V 11] [seed 2]]
  (torch.randint V #(B T) :generator (.manual-seed (torch.Generator) seed)))

(defn [(pytest.fixture :autouse True)] fresh [monkeypatch]
  "Nothing was asked for before."
  (.setattr monkeypatch kv-cache "RECORDS" {}))

(defn [pytest.fixture] looked [monkeypatch]
  "Of each layer's attention that is asked for, how many tokens look, in a list."
  (setv found []  attention F.scaled-dot-product-attention)
  (defn watched [q #* others #** how]
    (.append found (get q.shape 2))
    (attention q #* others #** how))
  (.setattr monkeypatch F "scaled_dot_product_attention" watched)
  found)

(defn law [#** data]
  "What holds for all DATA; on a busy machine it may take its time."
  (fn [test] ((settings :deadline None :max-examples 25) ((given #** data) test))))

(defn [st.composite] shapes [draw]
  "Configs of small GPTs of all proportions and options."
  (setv n-head (draw (st.integers 1 3)))
  (GPTConfig :vocab-size (draw (st.integers 2 20))
             :block-size (draw (st.integers 1 9))
             :n-layer    (draw (st.integers 1 3))
             :n-head     n-head
             :n-embd     (* n-head (draw (st.integers 1 6)))
             :bias       (draw (st.booleans))
             :tied       (draw (st.booleans))
             :dropout    (draw (st.sampled-from [0.0 0.5]))
             :activation (draw (st.sampled-from ["gelu" "gelu-tanh" "relu"]))
             :scale      (draw (st.sampled-from ["head-size" "n-embd"]))))


;;; Logits

(defn [(law :c (shapes) :B (st.integers 1 3) :T (st.integers 1 14) :more (st.integers 0 14)
            :seed (st.integers 0 99))]
      test-logits-are-those-of-next-logits [c B T more seed]
  "For a prompt of T tokens and each one that follows, up to and past block-size."
  (setv model (sharp c :seed seed)
        ids   (random-ids B (+ T more) :V c.vocab-size :seed seed)
        cache (KVCache))
  (for [n (range T (+ T more 1))]
    (setv so-far (ncut ids : (: n)))
    (assert-close (.next-logits cache model so-far :block-size c.block-size)
                  (next-logits model so-far :block-size c.block-size))))

(defn [(law :asked (st.lists (st.tuples (st.integers 1 2) (st.integers 1 9) (st.integers 0 1)
                                        (st.sampled-from [3 6]))
                             :min-size 1 :max-size 12))]
      test-whatever-it-is-asked [asked]
  "Other texts, longer and shorter ones, more of them, narrower windows: nothing goes stale."
  (setv model (sharp SMALL)
        cache (KVCache))
  (for [[B T seed block-size] asked]
    (setv ids (ncut (random-ids 2 9 :seed seed) (: B) (: T)))
    (assert-close (.next-logits cache model ids :block-size block-size)
                  (next-logits model ids :block-size block-size))))

(defn test-bfloat16 []
  "Rounded at the same places, the logits differ by no more than that rounding."
  (setv c     (GPTConfig :vocab-size 11 :block-size 12 :n-layer 3 :n-head 2 :n-embd 32)
        model (.to (sharp c) torch.bfloat16)
        ids   (random-ids 2 20)
        cache (KVCache))
  (for [T (range 1 21)]
    (setv logits   (.next-logits cache model (ncut ids : (: T)) :block-size 12)
          expected (next-logits model (ncut ids : (: T)) :block-size 12))
    (assert (is logits.dtype torch.bfloat16))
    (assert-close logits expected :rtol 0.05 :atol (* 0.02 (.item (.amax (.abs expected)))))))

(defn test-under-autocast []
  (setv model (sharp SMALL)
        ids   (random-ids 1 6)
        cache (KVCache))
  (for [T (range 1 7)]
    (with [_ (torch.autocast "cpu" :dtype torch.bfloat16)]
      (setv logits (.next-logits cache model (ncut ids : (: T)) :block-size 6)))
    (assert-close (.float logits) (next-logits model (ncut ids : (: T))) :rtol 0.1 :atol 0.1)))

(defn test-without-a-block-size-the-model-has-one []
  (setv model (sharp SMALL)
        ids   (random-ids 1 9)
        cache (KVCache))
  (for [T (range 1 10)]
    (assert-close (.next-logits cache model (ncut ids : (: T)))
                  (next-logits model (ncut ids : (: T)) :block-size SMALL.block-size))))

(defn torchs-adamw [model]
  (torch.optim.AdamW (.parameters model) :lr 0.1))

(defn trainers-adamw [model [flat False]]
  (setv descent (Descent model (TrainConfig) :flat flat))
  (.set-rate descent 0.1)
  descent.adamw)

(defn flat-adamw [model]
  "With all weights in one tensor."
  (trainers-adamw model :flat True))

(defn [(pytest.mark.parametrize "optimizer" [torchs-adamw trainers-adamw flat-adamw])]
      test-another-model-and-changed-weights-are-noticed [optimizer]
  "Whoever trains between two tokens gets what the trained model says."
  (setv model (sharp SMALL)
        other (sharp SMALL :seed 5)
        ids   (random-ids 1 6)
        cache (KVCache)
        adam  (optimizer model))
  (for [T (range 1 6)]
    (setv so-far (ncut ids : (: T)))
    (assert-close (.next-logits cache model so-far) (next-logits model so-far))
    (when (= T 3)
      (.backward (cross-entropy (model ids) ids))
      (.step adam))
    (when (= T 4)
      (.load-state-dict model (.state-dict other)))
    (when (= T 5)
      (setv model.lm-head.weight.data (* 2 model.lm-head.weight.data)))
    (assert-close (.next-logits cache other so-far) (next-logits other so-far))
    (assert-close (.next-logits cache model so-far) (next-logits model so-far))))

(defn [(pytest.mark.parametrize "optimizer" [torchs-adamw trainers-adamw flat-adamw])]
      test-changed-weights-are-noticed-where-no-other-model-comes-between [optimizer]
  (setv model (sharp SMALL)
        other (sharp SMALL :seed 5)
        ids   (random-ids 1 6)
        cache (KVCache)
        adam  (optimizer model))
  (defn train []
    (.backward (cross-entropy (model ids) ids))
    (.step adam))
  (defn load []
    (.load-state-dict model (.state-dict other)))
  (defn move []
    (setv model.lm-head.weight.data (* 2 model.lm-head.weight.data)))
  (for [[T change] (enumerate [(fn []) train load move] 1)]
    (change)
    (setv so-far (ncut ids : (: T)))
    (assert-close (.next-logits cache model so-far) (next-logits model so-far))))

(defn [recordable] test-what-no-shape-shows-is-part-of-a-records-form [monkeypatch]
  (.setattr monkeypatch kv-cache "OFTEN" 0)
  (setv ids    (random-ids 2 9)
        models (lfor  change [{} {"n_head" 4} {"scale" "n-embd"} {} {}]
                      (sharp (replace SMALL #** change))))
  (setv (. (get (. (get models 3) transformer h) 0) ln-1 eps) 0.5
        (. (get (. (get models 4) transformer h) 0) ln-2 eps) 0.5)
  (for [model models]
    (setv cache (KVCache))
    (for [T (range 1 10)]
      (setv so-far (ncut ids : (: T)))
      (assert-close (.next-logits cache model so-far :block-size 6)
                    (next-logits model so-far :block-size 6))))
  (assert (= 5 (len kv-cache.RECORDS))))

(defn [recordable
       (pytest.mark.parametrize "change" [{"n_embd" 16} {"bias" False} {"vocab_size" 20}])]
    test-models-of-two-shapes-have-records-of-their-own [change monkeypatch]
  (.setattr monkeypatch kv-cache "OFTEN" 0)
  (setv ids (random-ids 2 9))
  (for [c [SMALL (replace SMALL #** change)]]
    (setv model (sharp c)  cache (KVCache))
    (for [T (range 1 10)]
      (setv so-far (ncut ids : (: T)))
      (assert-close (.next-logits cache model so-far :block-size 6)
                    (next-logits model so-far :block-size 6))))
  (assert (= 2 (len kv-cache.RECORDS))))

(defn test-after-an-interruption-nothing-wrong-is-remembered [monkeypatch]
  (setv model (sharp SMALL)
        ids   (random-ids 1 6)
        cache (KVCache))
  (defn interrupted-at [call]
    (setv calls (iter (range 1 call))  norm torch.layer-norm)
    (fn [#* how]
      (if (next calls None) (norm #* how) (raise KeyboardInterrupt))))
  (for [T (range 1 7)]
    (setv so-far (ncut ids : (: T)))
    (with [patch (.context monkeypatch)
           _     (pytest.raises KeyboardInterrupt)]
      (.setattr patch torch "layer_norm" (interrupted-at 4))
      (.next-logits cache model so-far))
    (assert-close (.next-logits cache model so-far) (next-logits model so-far))))

(defn test-no-gradients []
  (setv model (sharp SMALL)
        cache (KVCache))
  (assert (not (. (.next-logits cache model (random-ids 1 3)) requires-grad)))
  (assert (torch.is-grad-enabled)))

(defn test-what-it-says-may-be-used-for-anything []
  "It computes in inference mode, whose tensors may not be trained with."
  (setv weight (torch.ones 11 :requires-grad True))
  (.backward (.sum (* weight (.next-logits (KVCache) (sharp SMALL) (random-ids 1 3)))))
  (assert (is-not weight.grad None)))

(defn test-the-memory-is-made-once [looked]
  "(2 B H T D) a block, and each token's keys and values are computed once."
  (setv model  (sharp SMALL)
        cache  (KVCache)
        ids    (random-ids 3 6))
  (for [T (range 2 7)]
    (.next-logits cache model (ncut ids : (: T)))
    (when (= T 2)
      (setv memory cache.memory))
    (assert (is cache.memory memory)))
  (assert (= (lfor  kept memory  kept.shape) [#(2 3 2 6 4) #(2 3 2 6 4)]))
  (assert (= (cut looked None None 2) [2 1 1 1 1])))

(defn test-past-block-size-the-last-block-works-for-the-last-token-alone [looked]
  (.next-logits (KVCache) (sharp SMALL) (random-ids 1 9) :block-size 6)
  (assert (= looked [6 1])))

(defn test-a-block-is-fasts-block []
  (setv model   (sharp SMALL)
        layer   (get model.transformer.h 0)
        x       (torch.randn 2 5 8)
        through (block layer)
        kept    (get (memory-for model 2) 0))
  (with [_ (torch.no-grad)]
    (setv whole (layer x))
    (assert-close (through x None 0 False) whole)
    (assert-close (through x None 0 True) (ncut whole : (: 4 5)))
    (assert-close (through (ncut x : (: 4)) kept 0 False) (ncut whole : (: 4)))
    (assert-close (through (ncut x : (: 4 5)) kept 4 False) (ncut whole : (: 4 5)))))

(defn [(pytest.mark.parametrize "threads" [1 2 3 4])
       (pytest.mark.parametrize "bias" [True False])
       (pytest.mark.parametrize "sizes" [[1 1] [1 6] [2 3] [4 1] [3 5]])
       (pytest.mark.parametrize "outputs" [1 6 7 48 96])]
      test-a-product-in-parts-is-the-product [outputs sizes bias threads]
  "Of rows few and many, from 48 to less and more."
  (setv layer (nn.Linear 48 outputs :bias bias)
        x     (torch.randn #* sizes 48))
  (with [_ (with-threads threads)
         _ (torch.no-grad)]
    (assert-close ((linear layer) x) (layer x))))


;;; Recorded

(defn all-logits [model ids * [block-size 6]]
  "What is said after each beginning of IDS, by a new cache."
  (setv cache (KVCache))
  (torch.stack (lfor  T (range 1 (+ 1 (get ids.shape 1)))
                      (.next-logits cache model (ncut ids : (: T)) :block-size block-size))))

(defn recorded []
  "What was recorded: names and shapes."
  (lfor  form (.values kv-cache.RECORDS)
         [key found] (.items form)
         :if (callable found)
         key))

(defn [recordable (pytest.mark.parametrize "rows" [1 3])
       (pytest.mark.parametrize "c" [SMALL (replace SMALL :bias False :activation "relu")])]
    test-what-was-recorded-is-the-same-to-the-bit [rows c monkeypatch]
  "Tokens and windows, of this text and of others, by this model and by another."
  (setv models [(sharp c) (sharp c :seed 4)])
  (.setattr monkeypatch kv-cache "OFTEN" 2)
  (setv asked (list (product (lfor  seed [1 2 3]  (random-ids rows 10 :seed seed)) models))
        found (lfor  [ids model] asked  (all-logits model ids)))
  (assert (= (recorded) [#("token" #(rows 1)) #("window" #(rows 6))]))
  (.setattr monkeypatch kv-cache "RECORDS" {})
  (.setattr monkeypatch kv-cache "can_record" (fn [] False))
  (for [[[ids model] logits] (zip asked found)]
    (assert (torch.equal logits (all-logits model ids))))
  (assert (not (recorded))))

(defn [recordable] test-what-was-recorded-serves-other-weights [monkeypatch]
  "Whoever changes them, and however; but another activation or norm is another form."
  (.setattr monkeypatch kv-cache "OFTEN" 0)
  (setv model  (sharp SMALL)
        weight model.lm-head.weight
        ids    (random-ids 2 9))
  (defn check [expected]
    (for [[T logits] (enumerate (all-logits model ids) 1)]
      (assert-close logits (next-logits model (ncut ids : (: T)) :block-size 6)))
    (assert (= expected (len (recorded)))))
  (check 2)
  (.mul- weight.data 2)
  (check 2)
  (for [assign [False True]]
    (.load-state-dict model (.state-dict (sharp SMALL :seed 5)) :assign assign)
    (check 2))
  (setv (. (get model.transformer.h 1) mlp activation) F.relu)
  (check 4)
  (setv model.transformer.ln-f.eps 0.1)
  (check 6))

(defn test-an-activation-of-ones-own-is-not-recorded [monkeypatch]
  "It may have weights, or settings, that change."
  (.setattr monkeypatch kv-cache "OFTEN" 0)
  (setv model (sharp SMALL)
        ids   (random-ids 1 9)
        bent  (nn.LeakyReLU 0.1))
  (for [activation [bent (nn.PReLU)]]
    (setv (. (get model.transformer.h 0) mlp activation) activation)
    (for [slope [0.1 -5.0]]
      (setv bent.negative-slope slope)
      (for [[T logits] (enumerate (all-logits model ids) 1)]
        (assert-close logits (next-logits model (ncut ids : (: T)) :block-size 6)))))
  (assert (= [] (recorded))))

(defn test-a-model-made-in-inference-mode []
  (with [_ (torch.inference-mode)]
    (setv model (sharp SMALL)
          ids   (random-ids 1 9)
          found (all-logits model ids))
    (assert-close (get found -1) (next-logits model ids :block-size 6))))

(defn [recordable] test-records-keep-no-weights [monkeypatch]
  (.setattr monkeypatch kv-cache "OFTEN" 0)
  (setv model (sharp SMALL)
        gone  [(weakref.ref model) (weakref.ref model.lm-head.weight)])
  (defn kept [read]
    (.extend gone (map weakref.ref read.tensors))
    read)
  (setv reader kv-cache.reader)
  (.setattr monkeypatch kv-cache "reader" (fn [#* how] (kept (reader #* how))))
  (all-logits model (random-ids 1 9))
  (assert (and (recorded) (> (len gone) 20)))
  (del model)
  (gc.collect)
  (for [reference gone]
    (assert (is None (reference)))))

(defn test-where-torch-does-not-record-nothing-is [monkeypatch]
  "As with PYTORCH_JIT=0: torch.jit.trace then gives back what it is given."
  (.setattr monkeypatch kv-cache "OFTEN" 0)
  (torch.jit._state.disable)
  (try
    (all-logits (sharp SMALL) (random-ids 1 9))
    (finally (torch.jit._state.enable)))
  (assert (= [] (recorded))))

(defn test-the-flag-of-onednn-is-as-it-was [monkeypatch]
  (for [enabled [True False]]
    (.setattr monkeypatch torch.backends.mkldnn "enabled" enabled)
    (all-logits (sharp SMALL) (random-ids 1 9))
    (assert (= enabled torch.backends.mkldnn.enabled))))

(defn test-after-an-interruption-too-the-flag-of-onednn-is-as-it-was [monkeypatch]
  (defn interrupted [#* how]
    (raise KeyboardInterrupt))
  (.setattr monkeypatch torch.backends.mkldnn "enabled" True)
  (.setattr monkeypatch torch "layer_norm" interrupted)
  (with [_ (pytest.raises KeyboardInterrupt)]
    (all-logits (sharp SMALL) (random-ids 1 3)))
  (assert torch.backends.mkldnn.enabled))

(defn test-half-precision-is-not-recorded [monkeypatch]
  (.setattr monkeypatch kv-cache "OFTEN" 0)
  (setv half (.to (sharp SMALL) torch.bfloat16)
        full (sharp SMALL)
        ids  (random-ids 1 9))
  (all-logits half ids)
  (with [_ (torch.autocast "cpu" :dtype torch.bfloat16)]
    (all-logits full ids))
  (assert (= [] (recorded))))


;;; Tokens

(defn drawn [model ids count * [block-size 6] [seed 3] #** how]
  "(B T) -> (B COUNT)."
  (torch.stack (list (tokens model ids count :block-size block-size
                             :generator (sample-generator seed 0) #** how))
               1))

(defn [(law :B (st.integers 1 3) :T (st.integers 1 9) :seed (st.integers 0 999)
            :temperature (st.sampled-from [0 0.5 1.0 2.0]) :top-k (st.sampled-from [0 3])
            :window (st.sampled-from ["exact" "half"]))]
      test-the-same-tokens-with-and-without [B T seed temperature top-k window]
  (setv model (sharp SMALL)
        ids   (random-ids B T :seed seed)
        how   (Settings :temperature temperature :top-k top-k :window window))
  (assert (torch.equal (drawn model ids 20 :seed seed :settings how)
                       (drawn model ids 20 :seed seed :settings how :ask next-logits))))

(defn test-stage-fast-asks-a-cache-and-others-do-not []
  (assert (isinstance (. (asker (sharp SMALL)) __self__) KVCache))
  (assert (is-not (. (asker (sharp SMALL)) __self__) (. (asker (sharp SMALL)) __self__)))
  (for [model [(GPT SMALL) (Bigram 11)]]
    (assert (is (asker model) next-logits))))

(defn test-who-listens-to-a-layer-or-says-something-else-is-heard []
  "The usual ways to look into a model, and to switch a part of it off."
  (defclass Louder [FastGPT]
    (defn forward [self ids]
      (* 2 (.forward (super) ids))))
  (assert (is next-logits (asker (sharp SMALL :make Louder))))
  (setv model (sharp SMALL)
        layer (. (get model.transformer.h 0) attn)
        plain (drawn model (random-ids 1 4) 30)
        hook  (.register-forward-hook layer (fn [layer args out] (* 0 out))))
  (assert (is next-logits (asker model)))
  (assert (not (torch.equal plain (drawn model (random-ids 1 4) 30))))
  (.remove hook)
  (assert (torch.equal plain (drawn model (random-ids 1 4) 30)))
  (.register-forward-pre-hook layer (fn [layer args] None))
  (assert (is next-logits (asker model))))

(defn [(pytest.mark.parametrize "make" [GPT FastGPT])]
      test-it-sleeps-while-asked-and-wakes-as-it-was [make]
  (setv c     (GPTConfig :vocab-size 11 :block-size 6 :n-layer 2 :n-head 2 :n-embd 8 :dropout 0.5)
        model (.train (sharp c :make make)))
  (.eval (next (.children model)))
  (setv modes (lfor  layer (.modules model)  layer.training))
  (with [_ (in-eval-mode model)]
    (assert (not-in True (lfor  layer (.modules model)  layer.training)))
    (setv expected (drawn model (random-ids 1 2) 10)))
  (assert (torch.equal (drawn model (random-ids 1 2) 10) expected))
  (assert (= modes (lfor  layer (.modules model)  layer.training))))


;;; The window

(defn test-dropped []
  "A window of 4: full at 4, from 5 on the newest 3, at 7 again."
  (assert (= (lfor  T (range 1 10)  (- T (dropped T 4 "half"))) [1 2 3 4 3 4 3 4 3]))
  (assert (= (lfor  T (range 1 14)  (- T (dropped T 6 "half"))) [1 2 3 4 5 6 4 5 6 4 5 6 4]))
  (assert (= (lfor  T (range 1 7)  (- T (dropped T 5 "half"))) [1 2 3 4 5 3]))
  (assert (= (dropped 99 6 "exact") (dropped 99 0 "half") 0)))

(defn [(law :T (st.integers 1 500) :block-size (st.integers 1 60))]
      test-half-shows-from-half-to-all-of-the-window [T block-size]
  (setv gone (dropped T block-size "half")
        seen (- T gone))
  (assert (<= 1 seen block-size))
  (assert (= (% gone (// (+ block-size 1) 2)) 0))
  (assert (>= seen (min T (+ 1 (// block-size 2)))))
  (when (<= T block-size)
    (assert (= gone 0))))

(defn [(pytest.mark.parametrize "make" [GPT FastGPT Bigram])]
      test-what-the-model-sees-with-half [make]
  "Every stage the same: the logits are next-logits' of what is left, and Step says how much."
  (setv model (if (is make Bigram) (Bigram 11) (sharp SMALL :make make))
        how   (Settings :window "half"))
  (for [step (steps model (random-ids 1 2) 20 :block-size 6 :settings how)]
    (setv [_ T] step.ids.shape
          gone  (dropped T 6 "half"))
    (assert (= step.seen (- T gone)))
    (assert-close step.logits (next-logits model (ncut step.ids : (: gone None)))))
  (for [step (steps model (random-ids 1 2) 20 :block-size 6)]
    (assert (= step.seen (min 6 (get step.ids.shape 1))))))

(defn test-half-computes-the-window-once-in-half-a-block-of-tokens [looked]
  (drawn (sharp SMALL) (random-ids 1 2) 11 :settings (Settings :window "half"))
  (assert (= (cut looked None None 2) [2 1 1 1 1 4 1 1 4 1 1])))

(defn test-up-to-block-size-half-changes-nothing []
  (setv model (sharp SMALL))
  (assert (torch.equal (drawn model (random-ids 1 1) 6)
                       (drawn model (random-ids 1 1) 6 :settings (Settings :window "half")))))

(defn test-explanations-show-no-more-than-the-model-saw []
  (setv tokenizer (make-tokenizer "char" TEXT)
        c     (GPTConfig :vocab-size tokenizer.vocab-size :block-size 6 :n-embd 8 :n-head 2)
        ids   (torch.tensor [(.encode tokenizer "the cat")])
        rows  (list (explain (sharp c) tokenizer ids :block-size 6
                             :settings (Settings :window "half" :max-new-tokens 5))))
  (assert (= (lfor  row rows  (len row.context)) [4 5 6 4 5]))
  (assert (= (. (get rows 0) context) " cat")))

(defn [(pytest.mark.parametrize "window" ["whole" "" None 0 "Half"])]
      test-wrong-windows [window]
  (with [e (pytest.raises RequestError)]
    (Settings :window window))
  (assert (= (str e.value) f"--window is {window}: it has to be exact or half")))


;;; Many samples at once

(defclass Terminal [StringIO]
  (defn isatty [self] True))

(defn texts [out * [make FastGPT] [prompt "the "] [starts None] #** how]
  "What a small model writes to OUT."
  (setv tokenizer (make-tokenizer "char" TEXT)
        c (GPTConfig :vocab-size tokenizer.vocab-size :block-size 8 :n-embd 16 :n-head 2))
  (sample-texts (sharp c :make make) tokenizer out :prompt prompt :starts starts :block-size 8
                :settings (Settings :max-new-tokens 30 #** how)))

(defn test-batches []
  (assert (= (lfor  batch (batches 5 2)  (list batch)) [[0 1] [2 3] [4]]))
  (assert (= (list (batches 3 16)) [(range 3)])))

(defn [(pytest.mark.parametrize "make" [GPT FastGPT])
       (pytest.mark.parametrize "how" [
         {} {"temperature" 0.5 "top_k" 4} {"window" "half"} {"stop" "t"} {"prompt" ""}
         {"temperature" 0}])]
      test-a-batch-writes-what-single-samples-write [make how]
  "More samples than a batch holds, for a file and for a terminal, and the first few alone."
  (setv [file terminal] [(StringIO) (Terminal)]
        many (texts file :make make :seed 5 :num-samples 20 #** how))
  (assert (= many (texts terminal :make make :seed 5 :num-samples 20 #** how)))
  (assert (= (.getvalue file) (.getvalue terminal)))
  (assert (= (.count (.getvalue file) SEPARATOR) 19))
  (for [n [1 3 17]]
    (assert (= (texts (StringIO) :make make :seed 5 :num-samples n #** how) (cut many n)))))

(defn test-first-characters-that-are-drawn-make-a-batch-too []
  (setv tokenizer (make-tokenizer "char" "abc")
        c     (GPTConfig :vocab-size 3 :block-size 8 :n-embd 16 :n-head 2)
        how   (dict :starts {"a" 1 "b" 1 "c" 1} :block-size 8
                    :settings (Settings :max-new-tokens 9 :seed 1 :num-samples 9))
        [together alone] (lfor  out [(StringIO) (Terminal)]
                                (sample-texts (sharp c) tokenizer out #** how)))
  (assert (= together alone))
  (assert (= (sfor  text together  (get text 0)) #{"a" "b" "c"})))

(defn test-a-batch-asks-once-for-all []
  (setv shapes [])
  (defn ask [model ids * block-size]
    (.append shapes (tuple ids.shape))
    (next-logits model ids :block-size block-size))
  (setv model     (sharp (GPTConfig :vocab-size 3 :block-size 8))
        tokenizer (make-tokenizer "char" "abc")
        how       (dict :prompt "ab" :block-size 8 :ask ask
                        :settings (Settings :max-new-tokens 3 :num-samples 5)))
  (sample-texts model tokenizer (StringIO) #** how)
  (assert (= shapes [#(5 2) #(5 3) #(5 4)]))
  (.clear shapes)
  (sample-texts model tokenizer (Terminal) #** how)
  (assert (= shapes (* [#(1 2) #(1 3) #(1 4)] 5))))

(defn test-a-batch-draws-no-more-than-its-longest-sample-needs []
  (setv widths [])
  (defn ask [model ids * block-size]
    (.append widths (get ids.shape 1))
    (next-logits model ids :block-size block-size))
  (setv model (Bigram 3))
  (.copy- model.table.weight.data (torch.tensor [[0.0 99 0] [0 0 99] [99 0 0]]))    ; a b c a b c
  (setv written (sample-texts model (make-tokenizer "char" "abc") (StringIO) :prompt "a" :ask ask
                              :settings (Settings :max-new-tokens 50 :num-samples 4 :stop "ca")))
  (assert (= written (* ["ab"] 4)))
  (assert (= widths [1 2 3])))

(defn test-each-row-draws-from-its-own-generator []
  (setv probabilities (torch.full #(3 5) 0.2)
        own   (fn [] (lfor  i (range 3)  (sample-generator 1 i)))
        rows  (draw probabilities (own)))
  (assert (= rows.shape #(3 1)))
  (for [[i generator] (enumerate (own))]
    (assert (torch.equal (get rows i) (get (draw (cut probabilities 1) generator) 0)))))

(defn [(law :seed (st.integers 0 999) :B (st.integers 1 4) :V (st.integers 1 300)
            :top-k (st.integers 0 5))]
      test-drawn-as-torch-draws [seed B V top-k]
  "The tokens of torch.multinomial, also where most probabilities are 0."
  (setv logits        (torch.randn B V :generator (.manual-seed (torch.Generator) seed))
        probabilities (filtered-probabilities logits :top-k top-k)
        [ours torchs] (lfor  _ (range 2)  (sample-generator seed 0)))
  (for [_ (range 20)]
    (assert (torch.equal (draw probabilities ours)
                         (torch.multinomial probabilities 1 :generator torchs)))))
