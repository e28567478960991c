"Steps 10 to 12: feed-forward, blocks, the whole model."

(eval-when-compile
  (require hyrule [ncut]))
(import  dataclasses [replace]
         torch
         torch.nn :as nn
         torch.nn.functional :as F
         nanogpt-hy.config [GPTConfig]
         nanogpt-hy.lessons.checks.basics [must repeatable same]
         nanogpt-hy.lessons.checks.causality [check-causal check-causal-model
                                              check-position-wise sees-its-past]
         nanogpt-hy.lessons.checks.dropout [check-output-dropout])


;;; Step 10: feed-forward

(defn [repeatable] check-feed-forward [make * [n-embd 6]]
  "(FeedForward n-embd): (B T C) -> (B T C), each position by itself, through 4 times the width."
  (setv layer (make n-embd)
        x     (torch.randn 2 3 n-embd)
        zero  (layer (torch.zeros-like x)))
  (check-position-wise layer n-embd)
  (must (same (layer x) (layer x)) "it should give the same each time when there is no dropout")
  (must (not (same (- (layer x) zero) (- zero (layer (- x)))))
        "it is linear: without a bend between them two linear layers are no more than one")
  (setv sizes (sorted (lfor  p (.parameters layer)  :if (> p.ndim 1)  (tuple p.shape))))
  (must (= sizes (sorted [#((* 4 n-embd) n-embd) #(n-embd (* 4 n-embd))]))
        "the middle should be 4 times as wide as the ends")
  (check-output-dropout make n-embd))


;;; Step 11: blocks

(defn [repeatable] check-residual [make]
  "(Residual layer): x + layer(x)."
  (setv x      (.requires-grad_ (torch.randn 2 3 4))
        before (.clone (.detach x))
        y      ((make (nn.Threshold 1e9 0.0)) x)          ; a layer that gives 0
        [g]    (torch.autograd.grad (.sum y) [x]))
  (must (torch.equal y x) "around a layer that gives 0 it should let x through as it is")
  (must (torch.equal g (torch.ones-like x))
        "the gradient does not come straight down: a deep stack would not learn")
  (must (same ((make (nn.Hardtanh)) (* 0.1 before)) (* 0.2 before))
        "the layer's output should be added to x, once")
  (setv shared (.clone before))
  ((make (nn.Tanh)) shared)
  (must (torch.equal shared before) "x itself was changed: (+ x y) makes a new tensor"))

(defn [repeatable] check-layer-norm [norm n-embd]
  "(B T C) -> (B T C): each position's channels brought to mean 0 and variance 1."
  (check-position-wise norm n-embd)
  (setv y (norm (+ 5 (* 3 (torch.randn 3 5 n-embd)))))
  (must (same (.mean y :dim -1) (torch.zeros 3 5))
        "the mean over the channels of a position should be 0")
  (must (torch.allclose (.var y :dim -1 :unbiased False) (torch.ones 3 5) :atol 1e-3)
        "the variance over the channels of a position should be 1"))

(defn [repeatable] check-pre-norm [make * [n-embd 8]]
  "(PreNorm n-embd layer): layer(norm(x))."
  (check-layer-norm (make n-embd (nn.Identity)) n-embd)
  (setv x (+ 5 (torch.randn 2 3 n-embd)))
  (must (same ((make n-embd (nn.Hardtanh)) x) (F.hardtanh (F.layer-norm x [n-embd])))
        "the layer should be given x normed; its output is not normed again"))

(defn [repeatable] check-block [make * [n-embd 8] [n-head 2]]
  "(Block n-embd n-head): x plus what attention finds, plus what feed-forward makes of that."
  (setv block (make n-embd n-head)
        x     (torch.randn 2 5 n-embd))
  (check-causal block n-embd)
  (sees-its-past block n-embd)
  (for [p (.parameters block)]
    (nn.init.zeros_ p))
  (must (torch.equal (block x) x)
        "with all weights 0 a block should let x through: both its layers add to x")
  (setv parts (lfor  layer (.modules (make n-embd 1 :dropout 0.3))
                     :if (isinstance layer nn.Dropout)
                     layer.p))
  (must (= (len parts) 3)
        (+ f"dropout stands at {(len parts)} places instead of three: on the shares, after "
           "projection, after feed-forward"))
  (must (= (set parts) #{0.3}) "the block's dropout does not reach all three places"))

(defn [repeatable] check-stack [stack]
  "(stack n make-layer): n layers, one upon the other, each with weights of its own."
  (setv layers (stack 3 (fn [] (nn.Linear 4 4)))
        x      (torch.randn 2 5 4)
        parts  (lfor  layer (.modules layers)  :if (isinstance layer nn.Linear)  layer)
        y      x)
  (must (= (len parts) 3) "3 layers share weights or are missing: call make-layer once for each")
  (for [layer parts]
    (setv y (layer y)))
  (must (same (layers x) y) "each layer should be given what the one before it made"))


;;; Step 12: the whole model

(defn uses-dropout [make c]
  "Dropout reaches the model from its config C, and works only while it trains."
  (setv model (make c)
        ids   (torch.randint c.vocab-size #(2 6)))
  (must (not (torch.equal (model ids) (model ids)))
        "the config's dropout does nothing while training")
  (.eval model)
  (must (torch.equal (model ids) (model ids)) "dropout is active in eval mode"))

(defn [repeatable] check-gpt [make]
  "(GPT c): (B T) -> (B T V), causal, knowing places, for any length up to block-size."
  (setv c (GPTConfig :vocab-size 7 :block-size 6 :n-layer 2 :n-head 2 :n-embd 8)
        model (make c)
        count (sum (gfor  p (.parameters model)  (.numel p)))
        ;; tokens and places; 2 blocks: attention, feed-forward, 2 norms; last norm; lm-head
        block (+ (* 12 8 8) (* 10 8))
        right (+ (* 13 8) (* 2 block) 16 (* 9 7)))
  (for [length [1 3 6]]
    (check-causal-model model 7 :length length))
  (setv y (model (torch.zeros 1 6 :dtype torch.long)))
  (must (not (same (ncut y 0 1) (ncut y 0 5)))
        "the same tokens give the same logits at every place: positions are lost")
  (must (= count right)
        (+ f"it has {count} weights, and this shape should have {right}: are there n-layer blocks, "
           "each with weights of its own?"))
  (uses-dropout make (replace c :dropout 0.3)))

(defn [repeatable] check-normal-init [init]
  "(init layer): weights of linear and embedding layers N(0, 0.02), biases 0, nothing else."
  (for [layer [(nn.Linear 200 300) (nn.Embedding 200 300) (nn.Linear 300 200 :bias False)]]
    (init layer)
    (setv w layer.weight)
    (must (< 0.0197 (.item (.std w)) 0.0203)
          f"the weights' standard deviation is {(.item (.std w)) :.4f} and should be 0.02")
    (must (< (abs (.item (.mean w))) 0.0005) "the weights' mean should be 0")
    (must (.any (> (abs w) 0.06))
          "no weight is further than 3 deviations from 0: it is no normal draw")
    (must (not (and (isinstance layer nn.Linear) (is-not layer.bias None) (.any (!= layer.bias 0))))
          "biases should start at 0"))
  (setv norm (nn.LayerNorm 8))
  (init norm)
  (must (and (torch.equal norm.weight (torch.ones 8)) (torch.equal norm.bias (torch.zeros 8)))
        "a layer norm should start as it is, scaling by 1 and adding 0"))
