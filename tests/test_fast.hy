"fast.hy: nanoGPT's parameters and draws; equal to the course's GPT, as attention is in all its
forms, torch's own among them."

(eval-when-compile
  (require hyrule [-> ncut]))
(import  copy [deepcopy]
         dataclasses [replace]
         math [sqrt]
         pathlib [Path]
         hypothesis [given settings strategies :as st]
         pytest
         torch
         torch.nn :as nn
         torch.nn.functional :as F
         torch.testing [assert-close]
         nanogpt-hy.config [configs GPTConfig PRESETS]
         nanogpt-hy.course [attend causal CharTokenizer cross-entropy draw-batch evaluate
                            GPT split]
         nanogpt-hy.fast [Attention carry FastBlock FastGPT from-course MLP]
         nanogpt-hy.ladder [parameters-count])

(setv SMALL (GPTConfig :vocab-size 11 :block-size 6 :n-layer 2 :n-head 2 :n-embd 8))

(defn shaken [model]
  "MODEL with all weights from N(0, 0.3), biases and layer norms too, so that each one matters."
  (for [weight (.parameters model)]
    (nn.init.normal_ weight :std 0.3))
  model)

(defn ids-for [c [B 3]]
  (torch.randint c.vocab-size #(B c.block-size)))

(defn on-meta [make #* arguments]
  "What MAKE makes, as shapes without numbers."
  (with [_ (torch.device "meta")]
    (make #* arguments)))

;;; Parameters

(defn [(pytest.mark.parametrize #("preset" "vocab" "count" "without_positions")
         [#("shakespeare-cpu" 65 804,096 795,904)
          #("shakespeare-gpu" 65 10,745,088 10,646,784)])]
    test-parameters-of-nanogpts-recipes [preset vocab count without-positions]
  (setv [c _] (configs vocab (get PRESETS preset))
        model (on-meta FastGPT c))
  (assert (= (parameters-count model) count))
  (assert (= (parameters-count model :positions False) without-positions)))

(defn test-parameters-of-gpt-2 []
  (setv c (GPTConfig :vocab-size 50,257 :block-size 1024 :n-layer 12 :n-head 12 :n-embd 768))
  (assert (= (parameters-count (on-meta FastGPT c)) 124,439,808)))

(defn test-names-are-nanogpts []
  (setv c (replace SMALL :n-layer 1 :bias False))
  (assert (= (list (.state-dict (FastGPT c)))
             ["transformer.wte.weight"
              "transformer.wpe.weight"
              "transformer.h.0.ln_1.weight"
              "transformer.h.0.attn.c_attn.weight"
              "transformer.h.0.attn.c_proj.weight"
              "transformer.h.0.ln_2.weight"
              "transformer.h.0.mlp.c_fc.weight"
              "transformer.h.0.mlp.c_proj.weight"
              "transformer.ln_f.weight"
              "lm_head.weight"])))

(defn [(pytest.mark.parametrize "bias" [True False])
       (pytest.mark.parametrize "tied" [True False])]
    test-biases-and-tying [bias tied]
  (setv model (FastGPT (replace SMALL :bias bias :tied tied))
        names (list (.state-dict model)))
  (assert (= (is model.transformer.wte.weight model.lm-head.weight) tied))
  (assert (= (in "lm_head.bias" names) (and bias (not tied))))
  (for [name names  :if (.endswith name ".weight")
        :if (not-in name ["transformer.wte.weight" "transformer.wpe.weight" "lm_head.weight"])]
    (assert (= (in (.replace name ".weight" ".bias") names) bias))))

(defn test-a-deep-copy-stays-tied []
  (setv model (deepcopy (FastGPT SMALL)))
  (assert (is model.transformer.wte.weight model.lm-head.weight)))

(defn test-positions-of-a-course-model-are-counted-apart []
  (setv model (GPT SMALL))
  (assert (= (- (parameters-count model) (parameters-count model :positions False))
             (* SMALL.block-size SMALL.n-embd))))

;;; First weights

(defn published-weights [c]
  "nanoGPT's first weights by its order of draws (NUMBERS): torch's own while the layers are made,
  then N(0, 0.02) in the same order, then the projections once more."
  (setv C c.n-embd
        linear (fn [n m] (. (nn.Linear n m :bias False) weight))
        tables [(. (nn.Embedding c.vocab-size C) weight) (. (nn.Embedding c.block-size C) weight)]
        blocks (lfor  _ (range c.n-layer)
                     [(linear C (* 3 C)) (linear C C) (linear C (* 4 C)) (linear (* 4 C) C)])
        head   (linear C c.vocab-size))
  (for [weight [#* tables #* (sum blocks []) head]]
    (nn.init.normal_ weight :std 0.02))
  (for [[_ attn-proj _ mlp-proj] blocks  weight [attn-proj mlp-proj]]
    (nn.init.normal_ weight :std (/ 0.02 (sqrt (* 2 c.n-layer)))))
  [head (get tables 1) #* (sum blocks [])])     ; tied: the token table is lm-head's

(defn test-first-weights-are-drawn-in-nanogpts-order []
  (setv c (replace SMALL :n-layer 3 :bias False))
  (torch.manual-seed 1337)
  (setv expected (published-weights c)
        after    (torch.get-rng-state))
  (torch.manual-seed 1337)
  (setv model (FastGPT c))
  (assert (torch.equal (torch.get-rng-state) after))
  (for [[found weight] (zip (gfor  w (.parameters model) :if (= (.dim w) 2) w) expected
                            :strict True)]
    (assert (torch.equal found weight))))

(defn test-spread-of-the-first-weights []
  (torch.manual-seed 1)
  (setv model (FastGPT (replace SMALL :n-embd 128 :n-layer 8 :vocab-size 200)))
  (for [[name weight] (.named-parameters model)]
    (cond
      (.endswith name ".bias")         (assert (not (.any weight)))
      (in ".ln_" name)                 (assert (.all (= weight 1)))
      (.endswith name "c_proj.weight") (assert (< 0.0048 (.item (.std weight)) 0.0052))
      True                             (assert (< 0.018 (.item (.std weight)) 0.022)))))

(defn test-nanogpts-published-losses-at-step-0 [shakespeare]
  "Seed, weights, the first training batch, then 20 batches of each split: 4.1676 and 4.1649, and
  4.1828 for that first batch."
  (setv text (.read-text (Path shakespeare) :encoding "utf-8")
        ids  (torch.tensor (.encode (CharTokenizer text) text))
        [train val] (split ids)
        [c t] (configs 65 (get PRESETS "shakespeare-cpu"))
        draw  (fn [part] (draw-batch part :batch-size t.batch-size :block-size c.block-size)))
  (torch.manual-seed 1337)
  (setv model (FastGPT c)
        first (draw train)
        train-loss (evaluate model (gfor  _ (range t.eval-iters)  (draw train)))
        val-loss   (evaluate model (gfor  _ (range t.eval-iters)  (draw val)))
        [x y] first)
  (assert (= (.item train-loss) (pytest.approx 4.1676 :abs 5e-4)))
  (assert (= (.item val-loss) (pytest.approx 4.1649 :abs 5e-4)))
  (assert (= (.item (cross-entropy (model x) y)) (pytest.approx 4.1828 :abs 5e-4))))

;;; Equal to the course

(defn [st.composite] shapes [draw]
  "Configs of small GPTs of all proportions."
  (setv n-head (draw (st.integers 1 3)))
  (GPTConfig :vocab-size (draw (st.integers 2 20))
             :block-size (draw (st.integers 1 9))
             :n-layer    (draw (st.integers 1 3))
             :n-head     n-head
             :n-embd     (* n-head (draw (st.integers 1 6)))))

(defn learned [model x y]
  "-> logits, loss and {name: gradient} of MODEL on a batch."
  (.zero-grad model)
  (setv logits (model x)
        loss   (cross-entropy logits y))
  (.backward loss)
  [logits loss (dfor  [name weight] (.named-parameters model)  name weight.grad)])

(defn [(given :c (shapes) :B (st.integers 1 4) :seed (st.integers 0 1000) :training (st.booleans))
       (settings :max-examples 25 :deadline None)]
    test-course-and-fast-are-equal [c B seed training]
  "Logits, loss and the gradients of all weights, with any weights and for any shape."
  (torch.manual-seed seed)
  (setv gpt  (.train (shaken (GPT c)) training)
        fast (from-course gpt c)
        x    (ids-for c B)
        y    (ids-for c B)
        [logits loss gradients] (learned gpt x y)
        [fast-logits fast-loss fast-gradients] (learned fast x y))
  (assert-close fast-logits logits)
  (assert-close fast-loss loss)
  (for [[name gradient] (.items (carry gradients c))]
    (when (not (.endswith name "c_attn.bias"))     ; the course's heads have none
      (assert-close (get fast-gradients name) gradient))))

(defn test-equal-with-fewer-tokens-than-block-size []
  (setv gpt  (shaken (GPT SMALL))
        fast (from-course gpt SMALL)
        ids  (ids-for SMALL))
  (for [T (range 1 (+ 1 SMALL.block-size))]
    (assert-close (fast (ncut ids : (: T))) (gpt (ncut ids : (: T))))))

(defn test-from-course-draws-nothing-and-shares-nothing []
  (setv gpt    (shaken (GPT SMALL))
        before (torch.get-rng-state)
        fast   (from-course (.eval gpt) (replace SMALL :activation "gelu" :bias False)))
  (assert (torch.equal before (torch.get-rng-state)))
  (assert (not fast.training))
  (assert (all (gfor  w (.parameters fast)  w.requires-grad)))
  (setv ids    (ids-for SMALL)
        logits (fast ids))
  (shaken gpt)
  (assert (torch.equal (fast ids) logits)))

(defn test-scores-divided-by-the-root-of-n-embd []
  "The slip, as a name: with it a model is one whose queries are smaller by sqrt(D/C)."
  (setv plain (shaken (Attention SMALL))
        slipped (Attention (replace SMALL :scale "n-embd"))
        x (torch.randn 2 6 8))
  (.load-state-dict slipped (.state-dict plain))
  (assert (not (torch.allclose (slipped x) (plain x))))
  (with [_ (torch.no-grad)]
    (.mul_ (cut plain.c-attn.weight 8) (sqrt (/ 4 8)))
    (.mul_ (cut plain.c-attn.bias 8) (sqrt (/ 4 8))))
  (assert-close (slipped x) (plain x)))

;;; Options

(defn [(pytest.mark.parametrize #("name" "bend")
         [#("gelu"      (fn [x] (* x 0.5 (+ 1 (torch.erf (/ x (sqrt 2)))))))
          #("gelu-tanh" (fn [x] (* x 0.5 (+ 1 (torch.tanh (* (sqrt (/ 2 torch.pi))
                                                             (+ x (* 0.044715 (** x 3)))))))))
          #("relu"      (fn [x] (.clamp x :min 0)))])]
    test-activations [name bend]
  (setv mlp (shaken (MLP (replace SMALL :activation name)))
        x   (torch.randn 4 8))
  (assert-close (mlp x) (mlp.c-proj (bend (mlp.c-fc x)))))

(defn test-dropout-only-while-training []
  (setv model (shaken (FastGPT (replace SMALL :dropout 0.5)))
        plain (FastGPT SMALL)
        ids   (ids-for SMALL))
  (.load-state-dict plain (.state-dict model))
  (assert (not (torch.equal (model ids) (model ids))))
  (assert (torch.equal ((.eval model) ids) (plain ids))))

(defn [(pytest.mark.parametrize "place" ["embedding" "attention" "projection" "feed-forward"])]
    test-dropout-at-each-place [place]
  "Each of nanoGPT's four places alone makes two passes differ."
  (setv model (shaken (FastGPT (replace SMALL :n-layer 1)))
        block (get model.transformer.h 0)
        ids   (ids-for SMALL))
  (assert (torch.equal (model ids) (model ids)))
  (match place
    "embedding"    (setv model.transformer.drop.p 0.5)
    "attention"    (setv block.attn.dropout 0.5)
    "projection"   (setv block.attn.drop.p 0.5)
    "feed-forward" (setv block.mlp.drop.p 0.5))
  (assert (not (torch.equal (model ids) (model ids))))
  (.eval model)
  (assert (torch.equal (model ids) (model ids))))

(defn test-compiles-to-one-graph []
  (setv model (FastGPT SMALL)
        ids   (ids-for SMALL))
  (assert-close ((torch.compile model :fullgraph True :backend "eager") ids) (model ids)))

;;; Attention in all its forms: (B H T D) three times -> (B H T D)

(defn by-loop [q k v]
  "As the definition says it: for each query, over the keys of its past."
  (setv out (torch.zeros-like v)
        [B H T D] q.shape)
  (for [b (range B)  h (range H)  t (range T)]
    (setv past    (slice 0 (+ t 1))
          scores  (torch.stack (lfor  key (get k #(b h past))
                                     (/ (.dot (get q #(b h t)) key) (sqrt D))))
          parts   (torch.exp (- scores (.max scores)))
          mixed   (sum (gfor  [part value] (zip parts (get v #(b h past))) (* part value))))
    (setv (get out #(b h t)) (/ mixed (.sum parts))))
  out)

(defn by-matmul [q k v]
  "Powers of e where the past is, each row divided by its sum."
  (setv powers (* (torch.exp (/ (@ q k.mT) (sqrt (get q.shape -1))))
                  (causal (get q.shape -2))))
  (@ (/ powers (.sum powers :dim -1 :keepdim True)) v))

(defn by-masked-softmax [q k v]
  "The course's, with heads as one more axis of the batch."
  (attend q k v :mask (causal (get q.shape -2))))

(defn head-by-head [q k v]
  "The course's, a head at a time."
  (torch.stack (lfor  h (range (get q.shape 1))
                     (by-masked-softmax (ncut q : h) (ncut k : h) (ncut v : h)))
               :dim 1))

(defn by-torch [q k v]
  (F.scaled-dot-product-attention q k v :is-causal True))

(setv FORMS [by-loop by-matmul by-masked-softmax head-by-head by-torch])

(defn qkv [B H T D]
  (lfor  _ (range 3)  (torch.randn B H T D :requires-grad True)))

(defn [(given :B (st.integers 1 3) :H (st.integers 1 3) :T (st.integers 1 7) :D (st.integers 1 5)
              :seed (st.integers 0 1000))
       (settings :max-examples 15 :deadline None)]
    test-all-forms-of-attention-agree [B H T D seed]
  (torch.manual-seed seed)
  (setv inputs   (qkv B H T D)
        weights  (torch.randn B H T D)
        results  (lfor  form FORMS
                       :setv out (form #* inputs)
                       [out #* (torch.autograd.grad (.sum (* out weights)) inputs)]))
  (for [result (cut results 1 None)
        [found expected] (zip result (get results 0))]
    (assert-close found expected)))

(defn future [T]
  "-> (T T): true where torch's layers must not look."
  (bnot (causal T)))

(defn [(pytest.mark.parametrize "activation" ["relu" "gelu"])]
    test-a-fast-block-is-torchs-encoder-layer [activation]
  "With the norm first and a causal mask, in training and in evaluation (which torch fuses)."
  (setv c      (replace SMALL :activation activation)
        ours   (shaken (FastBlock c))
        theirs (nn.TransformerEncoderLayer 8 2 32 :dropout 0.0 :activation activation
                 :batch-first True :norm-first True)
        names  {"ln_1" "norm1"  "attn.c_proj" "self_attn.out_proj"
                "ln_2" "norm2"  "mlp.c_fc" "linear1"  "mlp.c_proj" "linear2"}
        x      (torch.randn 2 5 8))
  (.load-state-dict theirs
    (dfor  [name weight] (.items (.state-dict ours))
          :setv [layer _ kind] (.rpartition name ".")
          (if (= layer "attn.c_attn") f"self_attn.in_proj_{kind}" f"{(get names layer)}.{kind}")
          weight))
  (for [training [True False]]
    (.train theirs training)
    (assert-close (theirs x :src-mask (future 5) :is-causal True) (ours x))))

;;; All of them are causal, exactly (tests/wrong_forms.hy has forms that are not)

(defn [(pytest.mark.parametrize "form" FORMS)] test-later-tokens-change-nothing [form]
  "New numbers after t leave the outputs up to t as they are, bit for bit."
  (setv inputs (qkv 2 2 6 4)
        before (form #* inputs))
  (for [t (range 5)]
    (setv changed (lfor  x inputs  (torch.cat [(ncut x ... (: (+ t 1)) :)
                                             (torch.randn-like (ncut x ... (: (+ t 1) None) :))]
                                            :dim -2))
          after   (form #* changed))
    (assert (torch.equal (ncut after ... (: (+ t 1)) :) (ncut before ... (: (+ t 1)) :)))))

(defn [(pytest.mark.parametrize "form" FORMS)] test-no-gradient-from-the-future [form]
  "Exactly zero from keys and values after t and from all other queries; never zero from a value
  up to t."
  (setv [q k v] (qkv 1 1 6 4)
        out     (form q k v))
  (for [t (range 6)]
    (setv [dq dk dv] (torch.autograd.grad (.sum (ncut out ... t :)) [q k v] :retain-graph True)
          reached    (lfor  d [dq dk dv] (.any (ncut d 0 0 :) :dim -1)))
    (assert (= (.tolist (get reached 2)) (+ (* [True] (+ t 1)) (* [False] (- 5 t)))))
    (assert (not (.any (cut (get reached 1) (+ t 1) None))))
    (assert (<= (sfor  s (range 6) :if (get reached 0 s) s) #{t}))))
