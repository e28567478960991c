"AdamW by torch's own kernel, without torch's class for it.

torch.optim.AdamW loads torch's compiler at its first step: a second and a half, which a toy run
feels. Its functional form does not. And on a CPU all weights can lie in one tensor, their gradients
in another and what is remembered of them in two more: a step, or the cutting of a gradient, is then
one operation for each group of weights and not one for each weight."

(eval-when-compile
  (require hyrule [unless]))
(import  torch
         torch.autograd.graph [increment-version]
         torch.optim.adamw [adamw])

(defn views-in [flat weights]
  "(N) -> tensors of the shapes of WEIGHTS, which lie in FLAT one after the other."
  (lfor  [w part] (zip weights (.split flat (lfor  w weights  (.numel w))))
         (.view part w.shape)))

(defn flat-numbers [weights]
  "-> (N): the tensor into which WEIGHTS are moved; from now on they are views of it."
  (setv flat (torch.cat (lfor  w weights  (.flatten w.data))))
  (for [[w part] (zip weights (views-in flat weights))]
    (setv w.data part))
  flat)

(defn flat-gradients [weights]
  "-> (N): a tensor of zeros, in which each of WEIGHTS has its .grad from now on."
  (setv flat (torch.zeros (sum (gfor  w weights  (.numel w)))))
  (for [[w part] (zip weights (views-in flat weights))]
    (setv w.grad part))
  flat)

(defn parameter-groups [model weight-decay]
  "The weights of MODEL for an optimizer: matrices and tables decay, biases and layer norms not."
  (setv weights (list (.parameters model)))
  [(dict :params (lfor  w weights  :if (>= (.dim w) 2)  w)  :weight-decay weight-decay)
   (dict :params (lfor  w weights  :if (< (.dim w) 2)  w)   :weight-decay 0.0)])

(defclass AdamW []
  "The optimizer of GROUPS of weights, each with its decay, as torch.optim's classes take them.
  FLAT, for weights on the CPU: in one tensor, as above. They then have a .grad at all times."

  (defn __init__ [self groups * betas flat]
    (setv self.betas   betas
          self.weights (lfor  g groups  w (get g "params")  w))
    (if flat
      (self.lie-flat groups)
      (self.lie-apart groups)))

  (defn lie-apart [self groups]
    (setv self.gradients None
          self.param-groups
            (lfor  g groups
                   :setv own (get g "params")
                   {#** g
                    "averages" (lfor  w own  (torch.zeros-like w))
                    "squares"  (lfor  w own  (torch.zeros-like w))
                    "steps"    (lfor  w own  (torch.zeros [] :device w.device))})
          [self.averages self.squares self.steps]
            (lfor  name ["averages" "squares" "steps"]
                   (lfor  g self.param-groups  one (get g name)  one))))

  (defn lie-flat [self groups]
    (setv self.numbers (flat-numbers self.weights)
          flats   [self.numbers (torch.zeros-like self.numbers) (torch.zeros-like self.numbers)]
          [_ self.averages self.squares] (lfor  flat flats  (views-in flat self.weights))
          self.gradients (flat-gradients self.weights)
          sizes   (lfor  g groups  (sum (gfor  w (get g "params")  (.numel w))))
          self.steps []
          self.param-groups [])
    (for [[g #* parts gradient] (zip groups
                                     #* (lfor  flat flats  (.split flat sizes))
                                     (.split self.gradients sizes))]
      (setv [weights average square] parts
            weights.grad gradient
            step (torch.zeros []))
      (.extend self.steps (* [step] (len (get g "params"))))
      (.append self.param-groups {#** g  "params" [weights]  "averages" [average]
                                  "squares" [square]  "steps" [step]})))

  (defn zero-grad [self]
    (if (is self.gradients None)
      (for [w self.weights]
        (setv w.grad None))
      (.zero- self.gradients)))

  (defn [(torch.no-grad)] clip [self most]
    "Make the gradient no longer than MOST, as torch's clip-grad-norm_ does. One that lies flat is
    cut by a number and not by a tensor, which is several times as fast for a small model."
    (if (is self.gradients None)
      (torch.nn.utils.clip-grad-norm_ self.weights most)
      (do
        (setv share (/ most (+ (.item (torch.linalg.vector-norm self.gradients)) 1e-6)))
        (unless (>= share 1)                     ; nor is nan, which every number is to become
          (.mul_ self.gradients share)))))

  (defn [(torch.no-grad)] step [self]
    (for [group self.param-groups]
      ;; A weight that the loss does not depend on has no gradient, and stays.
      (setv moving (lfor  [i w] (enumerate (get group "params"))  :if (is-not w.grad None)  i)
            [weights averages squares steps]
              (lfor  name ["params" "averages" "squares" "steps"]
                     (lfor  i moving  (get group name i))))
      (when moving
        (adamw weights (lfor  w weights  w.grad) averages squares [] steps
               :fused True :amsgrad False :maximize False :eps 1e-8
               :beta1 (get self.betas 0) :beta2 (get self.betas 1)
               :lr (get group "lr") :weight-decay (get group "weight_decay"))))
    ;; The kernel does not count its changes; a KVCache asks each weight how many there were.
    (increment-version self.weights)))
