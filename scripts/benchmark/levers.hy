"What each of our ways to be fast brings: the same work with one of them taken away.

A lever is taken away by putting the plain form in its place while that side works. So a ratio says
how many times as long it takes without: 1 is a lever that brings nothing for these sizes."

(import  contextlib [nullcontext]
         functools [partial]
         unittest.mock [patch]
         torch
         torch.nn.functional :as F
         benchmark.bench [Contest]
         benchmark.sides [each-time first-ids model-of our-run]
         benchmark.timing [Side]
         nanogpt-hy.backprop :as backprop
         nanogpt-hy.course [next-logits]
         nanogpt-hy.inference :as inference
         nanogpt-hy.kv-cache :as kv-cache
         nanogpt-hy.lab.sampler :as sampler
         nanogpt-hy.lab.training.adamw [AdamW]
         nanogpt-hy.lab.training.trainer :as trainer
         nanogpt-hy.lab.training.workers :as workers
         nanogpt-hy.products :as products)

;;; The plain forms

(defn torchs-dropout [p chance x]
  "As backprop's, with one draw of torch's for each number."
  (when (= p 0)
    (return [x (fn [dy] dy)]))
  (setv mask (.div_ (.bernoulli_ (torch.empty-like x) (- 1 p) :generator chance) (- 1 p)))
  [(* x mask) (fn [dy] (* dy mask))])

(defn stacked-batch [ids * batch-size block-size [generator None]]
  "As the course's draw-batch, by so many slices."
  (setv starts (torch.randint (- (len ids) block-size) #(batch-size) :generator generator))
  (defn windows [starts]
    (torch.stack (lfor  start starts  (cut ids start (+ start block-size)))))
  [(windows starts) (windows (+ starts 1))])

(defn torchs-clip [adamw most]
  "As AdamW's, by torch, of each group of weights, flat as they lie."
  (torch.nn.utils.clip-grad-norm_
    (lfor  group adamw.param-groups  w (get group "params")  w)
    most))

(defn torchs-linear [layer [packs False]]
  "As inference's, but nothing is packed: torch and MKL divide the work."
  (inference.holding (partial F.linear :weight layer.weight :bias layer.bias)
                     layer.weight layer.bias))

(defn torchs-draw [probabilities generator]
  (torch.multinomial probabilities 1 :generator generator))

;;; The levers

(setv ENDLESS  (** 2 60)
      TRAINING {"the written-out gradient" [trainer  "by_hand"      (fn [run] False)]
                "a recorded step"          [workers  "can_record"   (fn [] False)]
                "products by oneDNN"       [products "NARROW_MKL"   False]
                "rows for each thread"     [workers  "MOST_WORKERS" 1]
                "rows in parts"            [workers  "PART"         ENDLESS]
                "attention in parts"       [backprop "QUERIES"      ENDLESS]
                "quick dropout masks"      [backprop "dropout"      torchs-dropout]
                "batches by one index"     [trainer  "draw_batch"   stacked-batch]
                "cutting a flat gradient"  [AdamW    "clip"         torchs-clip]}
      SAMPLING {"the KV cache"             [sampler  "asker"        (fn [model] next-logits)]
                "a recorded token"         [kv-cache "can_record"   (fn [] False)]
                "products for each thread" [inference "linear"      torchs-linear]
                "a race for each token"    [sampler  "draw"         torchs-draw]})

(defn without [levers name]
  "Within, the lever NAME of LEVERS is taken away; None is no lever."
  (if name (patch.object #* (get levers name)) (nullcontext)))

(defn sides [levers names make * [pieces None]]
  "-> our Side, and one without each of NAMES. (MAKE) -> its work."
  (defn side [name]
    (with [_ (without levers name)]
      (setv work (make)))
    (defn same-without [count]
      (with [_ (without levers name)]
        (work count)))
    (Side (if name f"without {name}" "ours") same-without :pieces pieces))
  (lfor  name [None #* names]  (side name)))

(defn contest [title unit sides]
  (Contest :title title :unit unit :ours (cut sides 1) :peers (cut sides 1 None)))

(defn of-training [name sizes names bench * [pieces None]]
  "-> Contest: steps of SIZES, without one of the levers NAMES."
  (defn steps-of-a-run []
    (partial trainer.steps (our-run bench sizes :compile "off")))
  (contest f"{name}: a step" "step" (sides TRAINING names steps-of-a-run :pieces pieces)))

(defn of-sampling [name sizes count bench]
  "-> Contest: a text of COUNT tokens, without one of the levers."
  (setv [model config] (model-of bench sizes "fast")
        ids            (first-ids bench))
  (defn text []
    (for [_ (sampler.tokens model ids count :block-size config.block-size
                            :generator (torch.Generator))]))
  (contest name "text" (sides SAMPLING SAMPLING (fn [] (each-time text)))))
