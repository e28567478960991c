"Randomness by name: a generator for each purpose, and torch's default ones, lent.

The batches and the evaluations of a run have a generator each. First weights, and dropout by
torch's layers, can draw from torch's default generators alone, so a run lends them its state."

(import  hashlib
         torch)

(defn named-seed [seed name]
  "A seed for one purpose: other names, other draws, whatever the seed."
  (setv digest (.digest (hashlib.sha256 (.encode f"{seed} {name}"))))
  (int.from-bytes (cut digest 7) "big"))

(defn named-generator [seed name]
  (.manual-seed (torch.Generator) (named-seed seed name)))

(defn default-state [device]
  "The states of torch's default generators that computing on DEVICE draws from."
  (| {"cpu" (torch.get-rng-state)}
     (if (= device.type "cuda") {"cuda" (torch.cuda.get-rng-state device)} {})))

(defn set-default-state [state device]
  (torch.set-rng-state (get state "cpu"))
  (when (and (= device.type "cuda") (in "cuda" state))
    (torch.cuda.set-rng-state (get state "cuda") device)))

(defn seeded-state [seed device]
  "The states of the default generators right after torch.manual_seed(SEED)."
  (defn seeded [where]
    (.get-state (.manual-seed (torch.Generator where) seed)))
  (| {"cpu" (seeded "cpu")}
     (if (= device.type "cuda") {"cuda" (seeded device)} {})))
