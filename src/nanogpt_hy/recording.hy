"What a function asks torch for, recorded once and run again without Python.

A step of a small model is some two hundred small operations, and Python takes about as long to ask
for each of them as a core to compute it; nor can it ask in two threads at once. torch.jit.trace
notes what is asked for, as a program that torch runs by itself: the same operations on the same
numbers, so the same bits, but two threads can run it at the same time. (PyTorch recommends
torch.compile instead. That takes half a minute and a C++ compiler, and this a twentieth of a
second. Where a later torch no longer has it, Python asks each time.)"

(eval-when-compile
  (require hyrule [unless]))
(import  functools [cache]
         sys
         threading [Lock]
         warnings
         torch)

(setv RECORDING (Lock))                ; one at a time: whoever records silences warnings

(defn can-record []
  "Whether this torch records: not where PYTORCH_JIT=0 turns it off. From Python 3.14 on it warns
  that it may break, so there it has to show that it does not."
  (and (hasattr torch.jit "trace")
       (bool torch.jit._state._enabled)
       (or (< sys.version-info #(3 14)) (records-rightly))))

(defn [cache] records-rightly []
  "Whether something recorded does with other numbers what it would have done without: a trial."
  (defn act [held x]
    (.add- (get held 0) (* 2 x))
    (.sum (get held 0)))
  (setv [one other] [(torch.zeros 3) (torch.zeros 3)]
        x           (torch.arange 3.0))
  (try
    (setv program (record act #(#((torch.zeros 3)) (torch.ones 3))))
    (and (torch.equal (program #(one) x) (act #(other) x))
         (torch.equal one other))
    (except [Exception]
      False)))

(defn record [act inputs * [optimized True]]
  "-> function: ACT as it is with INPUTS, tensors or tuples of them; it is done once. Sizes of the
  inputs are asked for each time; whatever else Python decides stays as it is decided now. That it
  be OPTIMIZED takes the first two calls as long as recording it, and gains a twentieth at most."
  (defn recorded [#* inputs]           ; so --profile calls what is none of torch's operations
    (act #* inputs))
  (with [_ RECORDING
         _ (warnings.catch-warnings :action "ignore")]         ; that it stays so
    (setv program (torch.jit.trace recorded inputs :check-trace False)))
  (setv act None)                      ; torch keeps `recorded`, which need not keep what ACT knows
  (defn as-it-is [#* inputs]
    (with [_ (torch.jit.optimized-execution False)]
      (program #* inputs)))
  (if optimized program as-it-is))

(defclass Recorded []
  "ADD-GRADIENT, as backprop.hy has it and without dropout, recorded when it first meets a batch of
  some shape, or another share of it. Weights and gradients are handed in each time, so that what
  was recorded with one model serves for all of its form, whose weights have a .grad at all times."

  (defn __init__ [self add-gradient]
    (setv self.add-gradient add-gradient
          self.records {}
          self.tensors {}))              ; of each model: its weights and their gradients

  (defn [(torch.no-grad)] __call__ [self model x y share * [chance None]]
    (unless (in model self.tensors)
      (setv weights (tuple (.parameters model))
            (get self.tensors model) [weights (tuple (gfor  w weights  w.grad))]))
    (setv key      #(x.shape share)
          recorded (.get self.records key))
    (if recorded
      (recorded x y #* (get self.tensors model))
      (self.first-time key model x y share)))

  (defn first-time [self key model x y share]
    "Do it, and record it."
    (setv loss None)
    (defn noted [x y weights gradients]
      (nonlocal loss)
      (setv loss (self.add-gradient model x y share))
      loss)
    (setv (get self.records key) (record noted #(x y #* (get self.tensors model))))
    loss))
