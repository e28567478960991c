"The written-out gradient as a compiled function that two threads can run at once.

What torch.compile makes of `add-gradient` is called by Python, which checks a hundred tensors, puts
in order those that lie in each other, and does so in one thread at a time. So here it is first made
a function of three tensors that changes none of them, which leaves nothing to check, and then
compiled as C++ from end to end: Python takes a twentieth of a call, and the rest needs none."

(eval-when-compile
  (require hyrule [unless]))
(import  copy [deepcopy]
         torch
         torch.nn :as nn
         nanogpt-hy.lab.training.adamw [flat-gradients views-in]
         nanogpt-hy.lab.training.compiling [do-without]
         nanogpt-hy.products [mkl-alone])

(defn with-weights [model weights others]
  "-> MODEL once more, but for WEIGHTS, in whose place OTHERS are."
  (deepcopy model (dict (zip (map id weights) others))))

(defn shadow [model weights]
  "MODEL once more, and its gradients (N): it has the same WEIGHTS, in the same memory, but a
  gradient of its own."
  (setv twins (lfor  w weights  (nn.Parameter w.data)))
  [(with-weights model weights twins) (flat-gradients twins)])

(defn as-function [add-gradient model weights share]
  "-> f: ids, targets and numbers (N), in which WEIGHTS lie one after the other -> the loss, and its
  gradient (N) by the numbers: SHARE of it, as ADD-GRADIENT finds it."
  (fn [x y numbers]
    (setv twins (views-in numbers weights)
          gradients (lfor  w twins  (torch.zeros-like w)))
    (for [[w gradient] (zip twins gradients)]
      (setv w.grad gradient))
    [(add-gradient (with-weights model weights twins) x y share)
     (torch.cat (lfor  gradient gradients  (.flatten gradient)))]))

(defn compiled [function inputs]
  "-> FUNCTION, compiled for INPUTS, tensors, of just these shapes."
  (import torch.fx.experimental.proxy-tensor [make-fx]
          torch._inductor [standalone-compile])
  ;; oneDNN's products could only be called by way of Python.
  (with [_ (mkl-alone)]
    (setv traced ((make-fx function) #* inputs)))
  (standalone-compile traced inputs :dynamic-shapes "from_example_inputs"
                      :options {"config_patches" {"cpp_wrapper" True}}))

(defclass CompiledGradient []
  "ADD-GRADIENT, as backprop.hy has it and without dropout, compiled when it first meets a batch of
  some shape, or another share of it; where that fails, OTHERWISE serves. It is for all of MODELS,
  which are shadows of each other: the numbers of the OPTIMIZER are their weights, and GRADIENTS,
  each (N), their gradients."

  (defn __init__ [self add-gradient otherwise optimizer models gradients]
    (setv self.add-gradient add-gradient
          self.otherwise otherwise
          self.optimizer optimizer
          self.gradients (dict (zip models gradients))
          self.programs {}
          self.failed False))

  (defn [(torch.no-grad)] __call__ [self model x y share * [chance None]]
    (setv program (self.program x y share))
    (unless program
      (return (self.otherwise model x y share)))
    (setv [loss gradient] (program x y self.optimizer.numbers))
    (.add_ (get self.gradients model) gradient)
    loss)

  (defn program [self x y share]
    "-> what is compiled for a batch and a share like these; None once compiling has failed."
    (setv key #(x.shape share))
    (unless (or self.failed (in key self.programs))
      (setv [model #* _] self.gradients
            function (as-function self.add-gradient model self.optimizer.weights share))
      (try
        (setv (get self.programs key) (compiled function [x y self.optimizer.numbers]))
        (except [e Exception]
          (do-without e)
          (setv self.failed True))))
    (.get self.programs key)))
