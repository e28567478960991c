"How a check fails, draws at random and compares numbers."

(eval-when-compile
  (require hyrule [unless]))
(import  functools [wraps]
         torch
         nanogpt-hy.errors [WorkError])

(defclass CheckFailed [WorkError]
  "An implementation is wrong; the text says how, and why that matters.")

(defn must [right sentence]
  "CheckFailed with SENTENCE, unless RIGHT."
  (unless right
    (raise (CheckFailed sentence))))

(defn repeatable [check]
  "CHECK with its own random draws, the same at each SEED; torch's generator is left as it was."
  (defn [(wraps check)] checked [#* args [seed 0] #** options]
    (with [(torch.random.fork-rng :devices [])]
      (torch.manual-seed seed)
      (check #* args #** options)))
  checked)

(defn generator [seed]
  "A generator that starts at SEED."
  (.manual-seed (torch.Generator) seed))

(defn same [x y]
  "Whether two tensors are equal but for rounding. NaN equals nothing."
  (and (= x.shape y.shape) (torch.allclose x y :rtol 1e-4 :atol 1e-5)))

(defn must-be-shaped [x shape what]
  (must (is-not x None)
        f"{what} is None: a function gives what its last form gives, and setv gives None")
  (must (isinstance x torch.Tensor)
        f"{what} is no tensor, but of type {(. (type x) __name__)}")
  (must (= (tuple x.shape) (tuple shape))
        f"{what} has the shape {(tuple x.shape)} instead of {(tuple shape)}"))

(defn must-be-finite [x why]
  (must (.item (.all (torch.isfinite x)))
        f"the output holds NaN or infinity {why}"))

(defn chi-square [counts probabilities]
  "How far COUNTS are from what PROBABILITIES let expect; on average one less than the cells."
  (setv expected (* (.sum counts) probabilities))
  (.item (.sum (/ (** (- counts expected) 2) expected))))

(defn uses-own-generator [draw why]
  "DRAW, a function of a generator, repeats with it and leaves torch's default one alone."
  (setv before (torch.get-rng-state)
        once   (draw (generator 5))
        twice  (draw (generator 5)))
  (must (torch.equal before (torch.get-rng-state))
        f"draws come from torch's default generator although another was given: {why}")
  (must (torch.equal once twice)
        f"the same seed gives something else the second time: {why}"))
