"Memory: how much a run took at most, and what to say where there is too little."

(eval-when-compile
  (require hyrule [unless]))
(import  contextlib [contextmanager]
         sys
         torch
         nanogpt-hy.errors [out-of-memory WorkError])

(defn peak-memory [device]
  "-> bytes: the most that this process has held at one time; on CUDA of the GPU's memory, else of
  the machine's. None where the system does not tell."
  (when (= device.type "cuda")
    (return (torch.cuda.max-memory-allocated device)))
  (try
    (import resource)
    (except [ImportError]                ; Windows has no such module
      (return None)))
  (setv peak (. (resource.getrusage resource.RUSAGE-SELF) ru-maxrss))
  (if (= sys.platform "darwin") peak (* 1024 peak)))      ; macOS counts bytes, Linux kilobytes

(defn smaller-batch [train]
  "How the batches of TRAIN are halved and a step still learns from as many tokens."
  (setv windows train.batch-size
        batches train.gradient-accumulation-steps)
  (if (= windows 1)
    ""
    (+ f"--batch-size {(// windows 2)} with --gradient-accumulation-steps {(* 2 batches)}, "
       "which makes up for it, or ")))

(defn too-little [run]
  "What to say where RUN's memory is not enough: what it has, and what to lower."
  (setv c run.config
        device (if (= run.device.type "cpu") "" f" on {run.device}")
        saved (and run.folder (.exists (/ run.folder "last.safetensors"))))
  (+ f"there is not enough memory{device} for a batch of {run.train.batch-size} x {c.block-size} "
     f"tokens: use {(smaller-batch run.train)}less than --block-size {c.block-size}, "
     f"--n-layer {c.n-layer} or --n-embd {c.n-embd}"
     (if saved f"; {run.folder} keeps its last checkpoint, to go on from with --resume" "")))

(defn [contextmanager] enough-memory [run]
  "Within, RUN's want of memory becomes a WorkError that says what to lower."
  (try
    (yield)
    (except [e [MemoryError RuntimeError]]
      (unless (out-of-memory e)
        (raise))
      (raise (WorkError (too-little run)) :from e))))
