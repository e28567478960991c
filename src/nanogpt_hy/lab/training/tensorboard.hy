"A run's metrics as curves in TensorBoard: the same numbers as in metrics.jsonl, beside it."

(import  contextlib [contextmanager]
         nanogpt-hy.config [finite whole]
         nanogpt-hy.errors [RequestError WorkError]
         nanogpt-hy.lab.training.saving [metrics-so-far])

(defn summary-writer []
  "torch's SummaryWriter; RequestError if the package that it needs is not there."
  (try
    (import torch.utils.tensorboard [SummaryWriter])
    (except [ImportError]
      (raise (RequestError (+ "--tensorboard needs the package tensorboard, which is not "
                              "installed: pip install tensorboard")) :from None)))
  SummaryWriter)

(defn scalars [name value]
  "-> #(tag number) for each number in VALUE, a row of metrics or what is in one."
  (cond
    (isinstance value dict) (for [[key inner] (.items value)]
                              (yield :from (scalars f"{name}/{key}" inner)))
    (finite value) (yield #(name value))))

(defn hear [writer row]
  "Write the numbers of ROW, unless it is of no step, or none of ours. They are on the disk when
  this returns."
  (when (and (whole (.get row "step")) (isinstance (.get row "event") str))
    (try
      (for [[tag number] (scalars (get row "event") row)]
        (.add-scalar writer tag number (get row "step")))
      (.flush writer)
      (except [e OSError]
        (raise (WorkError (+ f"cannot write the curves in {writer.log-dir} ({e.strerror}): free "
                             "some space, or go on with --resume and without --tensorboard")))))))

(defn [contextmanager] curves [run]
  "Within, TensorBoard hears of each row of RUN's metrics. What metrics.jsonl has already is written
  again in place of what was there (purge_step hides that), so that the curves say what it says,
  however often the run was interrupted, with or without them."
  (setv writer ((summary-writer) (str run.folder) :purge-step 0)
        listener (fn [row] (hear writer row)))
  (for [row (metrics-so-far run)]
    (hear writer row))
  (.append run.listeners listener)
  (try
    (yield)
    (finally
      (.remove run.listeners listener)
      (.close writer))))
