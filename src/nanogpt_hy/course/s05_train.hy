"Step 5: learning is a loop: look at a batch, see how the loss changes with
each weight, step downhill."

(import  torch
         nanogpt-hy.course.s03-bigram [cross-entropy])

(defn adamw [model
             * [learning-rate 1e-3] [betas #(0.9 0.999)] [weight-decay 0.01]]
  "An optimizer for all weights of MODEL. Each weight's step is divided by the
  size of its own past gradients."
  (torch.optim.AdamW (.parameters model)
                     :lr learning-rate :betas betas :weight-decay weight-decay))

(defn add-gradient [model x y share]
  "(B T) (B T) -> (): add SHARE of the batch's gradient to the weights'; that
  share of its loss."
  (setv loss (* share (cross-entropy (model x) y)))
  (.backward loss)
  (.detach loss))

(defn train-step [model optimizer #* batches]
  "((B T) (B T))... -> (): one step against the gradient of the mean loss; the
  loss as it was before the step. Usually there is one batch. Several act as
  one large batch that would not fit in memory."
  (.zero-grad optimizer)
  (setv share (/ 1 (len batches))
        loss (sum (lfor  [x y] batches  (add-gradient model x y share))))
  (.step optimizer)
  loss)

(defn [(torch.no-grad)] evaluate [model batches]
  "((B T) (B T))... -> (): the mean loss over BATCHES, less noisy than one
  batch's. Nothing is learned: no gradients, and layers that behave differently
  while training (dropout) are told not to. Afterwards MODEL is in training."
  (.eval model)
  (setv losses (lfor  [x y] batches  (cross-entropy (model x) y)))
  (.train model)
  (.mean (torch.stack losses)))
