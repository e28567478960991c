"The ladder's stages: the published parameters and first losses, the two switches, causality."

(eval-when-compile
  (require hyrule [ncut]))
(import  copy [deepcopy]
         dataclasses [replace]
         math [inf]
         pathlib [Path]
         pytest
         torch
         torch.nn :as nn
         torch.testing [assert-close]
         nanogpt-hy.config [configs GPTConfig PRESETS]
         nanogpt-hy.course [average-loop causal CharTokenizer draw-batch evaluate Head split]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.fast [FastGPT]
         nanogpt-hy.ladder [Average build-model find-stage parameters-count STAGES])

(setv SMALL (GPTConfig :vocab-size 11 :block-size 6 :n-layer 2 :n-head 2 :n-embd 8)
      ;; A head of 2 of 8 channels: the root of 2/8 is exact.
      SLIPPED (GPTConfig :vocab-size 11 :block-size 6 :n-layer 2 :n-head 4 :n-embd 8
                         :scale "n-embd"))

(defn lecture [stage]
  "-> GPTConfig TrainConfig of the published run of STAGE."
  (configs 65 (get PRESETS "lecture") (. (find-stage stage) lecture)))

(defn seeded [stage c #** options]
  "The model of STAGE, from seed 1337."
  (torch.manual-seed 1337)
  (build-model stage c #** options))

(defn ids-for [c]
  (torch.randint c.vocab-size #(3 c.block-size)))

(defn weights [model]
  (lfor  w (.parameters model)  (.detach w)))

(defn equal-weights [a b]
  (all (gfor  [v w] (zip (weights a) (weights b) :strict True)  (torch.equal v w))))

;;; The table

(defn test-the-order-of-the-ladder []
  (assert (= (list STAGES)
             ["bigram" "embedding" "position" "average" "head" "multi-head" "feed-forward" "blocks"
              "residual" "layer-norm" "dropout" "gpt" "fast"])))

(defn test-each-stage-says-in-a-line-what-it-adds []
  (for [stage (.values STAGES)]
    (assert (< 5 (len stage.adds) 80))
    (assert (not-in "\n" stage.adds))))

(defn [(pytest.mark.parametrize #("stage" "count")
         [#("bigram" 4225) #("embedding" 4225) #("position" 4481) #("average" 4481) #("head" 7553)
          #("multi-head" 7553) #("feed-forward" 8609) #("blocks" 16,865) #("residual" 41,921)
          #("layer-norm" 42,369) #("dropout" 10,788,929)])]
    test-parameters-of-the-lecture [stage count]
  "NUMBERS, from the lecture's commits; `dropout` is its scaled-up model. (average and blocks were
  never committed: no new weights, and three times those of feed-forward.)"
  (with [_ (torch.device "meta")]
    (assert (= (parameters-count (build-model stage (get (lecture stage) 0))) count))))

(defn [(pytest.fixture :scope "module")] ids [shakespeare]
  "Tiny Shakespeare as ids."
  (setv text (.read-text (Path shakespeare) :encoding "utf-8"))
  (torch.tensor (.encode (CharTokenizer text) text)))

(defn [(pytest.mark.parametrize #("stage" "train_loss" "val_loss")
         [#("bigram"       4.7305 4.7241)
          #("embedding"    4.3886 4.3734)
          #("position"     4.4801 4.4801)
          #("head"         4.2000 4.2047)
          #("multi-head"   4.2227 4.2226)
          #("feed-forward" 4.1996 4.1995)
          #("residual"     4.6255 4.6233)
          #("layer-norm"   4.3103 4.3097)])]
    test-published-losses-at-step-0 [stage train-loss val-loss ids]
  "NUMBERS, from the lecture's commits: seed, weights, 200 batches of train, 200 of validation, all
  from torch's default generator."
  (setv [c t] (lecture stage)
        model (seeded stage c :init t.init))
  (for [[part expected] (zip (split ids) [train-loss val-loss])]
    (defn draw [_]
      (draw-batch part :batch-size t.batch-size :block-size c.block-size))
    (setv loss (evaluate model (map draw (range t.eval-iters))))
    (assert (= (.item loss) (pytest.approx expected :abs 5e-4)))))

(defn [(pytest.mark.parametrize "stage" STAGES)] test-each-stage-learns-and-can-be-copied [stage]
  (setv model  (build-model stage SMALL)
        ids    (ids-for SMALL)
        logits (model ids))
  (assert (= logits.shape #(3 6 11)))
  (.backward (.sum (* logits (torch.randn-like logits))))
  (for [[name weight] (.named-parameters model)]
    (assert (is-not weight.grad None) name))
  (assert (torch.equal ((deepcopy model) ids) logits))
  (assert (torch.equal (ncut (model (ncut ids : (: 4))) : 0) (ncut logits : 0))))

(defn [(pytest.mark.parametrize "stage" STAGES)] test-each-stage-is-causal [stage]
  "Other tokens after t leave the logits up to t as they are, and no row sees another."
  (setv model  (build-model stage SMALL :init "normal")
        ids    (ids-for SMALL)
        logits (model ids))
  (for [t (range 5)]
    (setv changed (.clone ids)
          (get changed #(0 (slice (+ t 1) None))) (- 10 (get ids #(0 (slice (+ t 1) None)))))
    (setv after (model changed))
    (assert (torch.equal (ncut after 0 (: (+ t 1))) (ncut logits 0 (: (+ t 1)))))
    (assert (torch.equal (cut after 1 None) (cut logits 1 None)))))

(defn body-of [model]
  "What lies between embedding and lm-head."
  (if (isinstance model FastGPT)
    (nn.Sequential #* model.transformer.h model.transformer.ln-f)
    model.body))

(defn [(pytest.mark.parametrize "stage" (cut (list STAGES) 3 None))]
    test-no-gradient-from-the-future [stage]
  "Through each body from `average` on: exactly zero from later places, and from none up to t."
  (torch.manual-seed 3)
  (setv model (build-model stage SMALL)
        x     (torch.randn 1 6 8 :requires-grad True)
        out   ((body-of model) x))
  (for [t (range 6)]
    (setv [d] (torch.autograd.grad (.sum (* (ncut out 0 t) (torch.arange 1.0 9.0))) [x]
                :retain-graph True))
    (assert (= (.tolist (.any (get d 0) :dim -1)) (+ (* [True] (+ t 1)) (* [False] (- 5 t)))))))

(defn test-the-average-is-the-courses []
  (setv x (torch.randn 2 7 5))
  (assert-close ((Average) x) (average-loop x)))

(defn test-only-dropout-and-the-two-gpts-drop-out []
  (setv c (replace SMALL :dropout 0.5))
  (for [stage STAGES]
    (setv chances (sfor  layer (.modules (build-model stage c))
                        :if (isinstance layer nn.Dropout)  layer.p))
    (if (in stage ["dropout" "gpt" "fast"])
      (assert (= chances #{0.5}) stage)
      (assert (<= chances #{0.0}) stage))))

;;; Where the first weights come from

(defn [(pytest.mark.parametrize "init" ["torch" "normal"])] test-gpt-is-dropout-but-for-init [init]
  "Given the same init, the two are one model."
  (setv [one other] (lfor  stage ["dropout" "gpt"] (seeded stage SMALL :init init))
        ids (ids-for SMALL))
  (assert (equal-weights one other))
  (assert (torch.equal (one ids) (other ids))))

(defn [(pytest.mark.parametrize "stage" STAGES)] test-normal-init [stage]
  (for [[name weight] (.named-parameters (build-model stage SMALL :init "normal"))]
    (setv spread (.item (.max (.abs weight))))
    (if (in "norm" name)
      (assert (in spread [0 1]))
      (assert (< spread (if (in "bias" name) 1e-9 2)))))
  (setv wide (build-model stage (replace SMALL :vocab-size 300 :n-embd 64) :init "normal"))
  (for [[name weight] (.named-parameters wide)  :if (= (.dim weight) 2)
        :if (not (.endswith name "c_proj.weight"))]
    (assert (< 0.018 (.item (.std weight)) 0.022) name)))

(defn test-auto-is-torchs-own-for-the-stages-and-normal-for-gpt []
  (for [stage STAGES]
    (setv own (cond
                (= stage "gpt")  "normal"
                (= stage "fast") "normal"
                True             "torch"))
    (assert (equal-weights (seeded stage SMALL) (seeded stage SMALL :init own)) stage)))

(defn test-fast-keeps-its-own-init []
  (torch.manual-seed 1337)
  (setv bare (FastGPT SMALL))
  (for [init ["auto" "normal"]]
    (assert (equal-weights bare (seeded "fast" SMALL :init init))))
  (with [error (pytest.raises RequestError :match "--init torch")]
    (build-model "fast" SMALL :init "torch"))
  (assert (not-in "\n" (str error.value))))

(defn test-unknown-stage []
  (with [_ (pytest.raises RequestError :match "no stage multihead: did you mean multi-head\\?")]
    (build-model "multihead" SMALL))
  (with [_ (pytest.raises RequestError :match "there are bigram, embedding")]
    (build-model "xyz" SMALL)))

(defn test-places-can-be-left-out-of-the-count []
  (for [[stage places] [["bigram" 0] ["position" 48] ["gpt" 48] ["fast" 48]]]
    (setv model (build-model stage SMALL))
    (assert (= places (- (parameters-count model) (parameters-count model :positions False))))))

;;; The slip in the scale

(defn slipped-by-hand [head x]
  "(B T C) -> (B T D): as the lecture had it, scores times n-embd to the power of -0.5."
  (setv [q k v]  (lfor  part [head.query head.key head.value]  (@ x part.weight.mT))
        scores   (* (@ q k.mT) (** (get x.shape -1) -0.5))
        unseen   (bnot (causal (get x.shape 1))))
  (@ (.softmax (.masked-fill scores unseen (- inf)) :dim -1) v))

(defn test-the-slip-is-the-lectures []
  (setv model (build-model "multi-head" SLIPPED :init "torch")
        head  (get model.body.heads 0)
        x     (torch.randn 3 6 8))
  (assert-close (head x) (slipped-by-hand head x)))

(defn [(pytest.mark.parametrize "stage" ["multi-head" "blocks" "residual" "layer-norm" "gpt"
                                         "fast"])]
    test-the-slip-changes-what-is-computed-and-nothing-else [stage]
  "The same weights by the same names give other logits."
  (setv [slipped plain] (lfor  scale ["n-embd" "head-size"]
                              (seeded stage (replace SLIPPED :scale scale)))
        ids (ids-for SLIPPED))
  (assert (= (list (.state-dict slipped)) (list (.state-dict plain))))
  (assert (equal-weights slipped plain))
  (for [model [slipped plain]]
    (torch.manual-seed 5)
    (for [weight (.parameters model)]
      (nn.init.normal_ weight :std 0.5)))       ; far enough apart for scores to matter
  (assert (> (.item (.max (.abs (- (slipped ids) (plain ids))))) 0.01)))

(defn test-a-single-head-cannot-slip []
  "Its size is n-embd."
  (setv ids (ids-for SMALL)
        [one other] (lfor  scale ["n-embd" "head-size"]
                          (seeded "head" (replace SMALL :scale scale))))
  (assert (torch.equal (one ids) (other ids))))

(defn test-the-slip-survives-copying-saving-and-compiling []
  (setv model  (build-model "layer-norm" SLIPPED)
        ids    (ids-for SLIPPED)
        logits (model ids)
        other  (build-model "layer-norm" SLIPPED))
  (.load-state-dict other (.state-dict model))
  (assert (torch.equal (other ids) logits))
  (assert (torch.equal ((deepcopy model) ids) logits))
  (assert-close ((torch.compile model :fullgraph True :backend "eager") ids) logits))

(defn test-the-slip-is-exact-where-the-root-is []
  "A power of two only moves the exponent: twice the slipped query is the plain one, bit for bit."
  (setv head (next (gfor  layer (.modules (build-model "multi-head" SLIPPED))
                         :if (isinstance layer Head)  layer))
        x    (torch.randn 3 6 8))
  (assert (torch.equal (* 2 (head.query x)) (@ x head.query.weight.mT))))
