"How the long run walks downhill: AdamW as the field sets it up, and the learning rate's course."

(import  math [cos inf pi]
         torch
         nanogpt-hy.lab.training.adamw [AdamW parameter-groups]
         nanogpt-hy.lab.training.parallel [part-of]
         nanogpt-hy.lab.training.phases [in-phase])

(defn learning-rate-at [train step]
  "The learning rate of a step: a straight rise, then half a cosine down to min-lr, as nanoGPT's."
  (setv end (if (is train.lr-decay-iters None) train.max-iters train.lr-decay-iters)
        low (if (is train.min-lr None) (/ train.learning-rate 10) train.min-lr)
        warmup train.warmup-iters)
  (cond
    (< step warmup) (* train.learning-rate (/ (+ step 1) (+ warmup 1)))
    (= end 0)       train.learning-rate
    (>= step end)   low
    True            (+ low (* (- train.learning-rate low)
                              0.5
                              (+ 1 (cos (* pi (/ (- step warmup) (- end warmup)))))))))

(defn groups-of [model train]
  "The weights of MODEL, in groups of equal decay."
  (if (= train.decay "all")
    [{"params" (list (.parameters model))  "weight_decay" train.weight-decay}]
    (lfor  g (parameter-groups model train.weight-decay)  :if (get g "params")  g)))

(defclass Descent []
  "AdamW that cuts the gradient's length and, in float16, undoes its scaling before each step."

  (defn __init__ [self model train * [flat False] [scaler None]]
    (setv self.adamw (AdamW (groups-of model train) :betas [train.beta1 train.beta2] :flat flat)
          self.clip (or train.grad-clip inf)
          self.scaler scaler))

  (defn zero-grad [self]
    (.zero-grad self.adamw))

  (defn [(in-phase "optimizer")] step [self]
    (when self.scaler
      (.unscale_ self.scaler self.adamw))
    (when (< self.clip inf)
      (.clip self.adamw self.clip))
    (if self.scaler
      (do (.step self.scaler self.adamw) (.update self.scaler))
      (.step self.adamw))
    None)

  (defn set-rate [self rate]
    (for [group self.adamw.param-groups]
      (setv (get group "lr") rate)))

  (defn moments [self]
    "-> dict of tensors: what AdamW remembers of each weight, by the weight's place."
    (dfor  [place kinds] (enumerate (zip self.adamw.steps self.adamw.averages self.adamw.squares))
           [kind tensor] (zip ["step" "exp_avg" "exp_avg_sq"] kinds)
           f"{place}.{kind}" tensor))

  (defn [(torch.no-grad)] restore [self moments]
    "Take over MOMENTS, as the method of that name gave them."
    (for [[name tensor] (.items (self.moments))]
      (.copy- tensor (part-of (get moments name) tensor)))))
