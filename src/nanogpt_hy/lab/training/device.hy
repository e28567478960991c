"Where and how exactly to compute: device, threads and precision, with the reasons in words."

(import  contextlib [contextmanager nullcontext]
         ctypes
         os
         sys
         time [perf-counter process-time]
         psutil
         torch
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.files [short]
         nanogpt-hy.products [multiplies-bfloat16])

(setv NARROW    64       ; up to so many channels a second thread only costs time
      ;; From so many on bfloat16 is quicker on a CPU that multiplies it:
      WIDE      128      ; by backprop.hy,
      VERY-WIDE 256)     ; and where autograd learns, which converts more often

;; What CUDA's products need to give the same bits always. Older torch looks for it only once, at
;; the first of them.
(os.environ.setdefault "CUBLAS_WORKSPACE_CONFIG" ":4096:8")

;; glibc gives back to the system most of what is freed, and in the next step gets it anew, page by
;; page and filled with zeros: a sixth of a step. See mallopt(3).
(setv M-MMAP-THRESHOLD -3  BLOCK (** 2 25)       ; kept are blocks up to 32 MB, the most it can,
      M-TRIM-THRESHOLD -1  KEPT  (** 2 29))      ; half a gigabyte of them

(defn keep-memory []
  "Have the C library keep memory that is freed, for the next step. -> whether it does so: only
  glibc can."
  (setv mallopt (when (= sys.platform "linux")
                  (getattr (ctypes.CDLL None) "mallopt" None)))
  (and (is-not mallopt None)
       (= 1 (mallopt M-MMAP-THRESHOLD BLOCK) (mallopt M-TRIM-THRESHOLD KEPT))))

(keep-memory)

(defn threads-for [config]
  "How many threads compute a model of CONFIG on the CPU: a narrow one is done before others wake."
  (if (<= config.n-embd NARROW) 1 (torch.get-num-threads)))

(defn [contextmanager] with-threads [count]
  "Within, torch divides each operation among COUNT threads."
  (setv before (torch.get-num-threads))
  (torch.set-num-threads count)
  (try
    (yield)
    (finally (torch.set-num-threads before))))

(defn fit-threads [config]
  "A context: within, torch has as many threads as suit a model of CONFIG."
  (with-threads (threads-for config)))

(defn glance []
  "-> seconds, from moments of their own: the time, how long all cores together had nothing to do,
  and how long this process computed."
  (setv times (psutil.cpu-times))
  [(perf-counter) (+ times.idle (getattr times "iowait" 0)) (process-time)])

(setv LOADED (glance))

(defn free-cores []
  "On how many cores nobody else has computed since this module was loaded, about; at least 1."
  (setv [passed idle own] (lfor  [now then] (zip (glance) LOADED)  (- now then)))
  (max 1 (round (/ (+ idle own) passed))))

(defn fit-free-threads [config]
  "A context: within, torch has as many threads as suit a model of CONFIG, but none on a core where
  others compute. To draw a token takes dozens of operations, and each waits for all its threads:
  for one that has to wait for its turn, some milliseconds."
  (with-threads (min (threads-for config) (free-cores))))

(defn [contextmanager] deterministic []
  "Within, torch takes only algorithms that always give the same bits."
  (setv [before warns] [(torch.are-deterministic-algorithms-enabled)
                        (torch.is-deterministic-algorithms-warn-only-enabled)])
  (torch.use-deterministic-algorithms True)
  (try
    (yield)
    (finally (torch.use-deterministic-algorithms before :warn-only warns))))

(defn choose-device [name]
  "auto, cpu, cuda, cuda:1 or mps -> torch.device, reason; RequestError if it is not there."
  (cond
    (!= name "auto")
      [(known-device name) "asked for"]
    (torch.cuda.is-available)
      [(torch.device "cuda") f"found {(torch.cuda.get-device-name)}"]
    (torch.backends.mps.is-available)
      [(torch.device "mps") "found an Apple GPU"]
    True
      [(torch.device "cpu") "no GPU found"]))

(defn known-device [name]
  "The torch.device NAME; RequestError if this machine does not have it."
  (try
    (setv device (torch.device name))
    (.cpu (torch.zeros 1 :device device))
    (except [e [RuntimeError AssertionError ValueError NotImplementedError ImportError]]
      (setv gpus (lfor  i (range (torch.cuda.device-count))  f"cuda:{i}")
            here ["cpu" #* gpus #* (if (torch.backends.mps.is-available) ["mps"] [])])
      (raise (RequestError
        (if (in name [#* gpus (when gpus "cuda")])
          f"--device {name} cannot be used now ({(short (str e))}): wait for it or use another"
          f"--device {name} is not there: this machine has {(.join ", " here)}")) :from None)))
  device)

(defn sent [tensor device]
  "TENSOR, which is on the CPU, on DEVICE. Nobody waits for a GPU that is still busy: the memory is
  pinned, the copy asynchronous."
  (if (= device.type "cuda")
    (.to (.pin-memory tensor) device :non-blocking True)
    (.to tensor device)))

(defn dtype-on-cpu [config stage draws]
  "-> torch.dtype, reason: what suits a CPU."
  (cond
    (= draws "published")
      [torch.float32 "as those who published computed on a CPU"]
    (not (multiplies-bfloat16))
      [torch.float32 "fastest here"]
    (< config.n-embd (if (= stage "fast") WIDE VERY-WIDE))
      [torch.float32 "fastest for so few channels"]
    True
      [torch.bfloat16 "this processor has a unit for its products"]))

(defn choose-dtype [name device config * [stage "fast"] [draws "named"]]
  "auto, float32, bfloat16 or float16 -> torch.dtype, reason. It is for a model of CONFIG and STAGE,
  trained with those DRAWS, however many processes train it: they shall all compute the same.
  RequestError for float16 without a CUDA GPU."
  (cond
    (and (= name "float16") (!= device.type "cuda"))
      (raise (RequestError
        f"--dtype float16 needs a CUDA GPU, not {device.type}: use bfloat16 or float32"))
    (!= name "auto")
      [(getattr torch name) "asked for"]
    (= device.type "cpu")
      (dtype-on-cpu config stage draws)
    (!= device.type "cuda")
      [torch.float32 "fastest here without a CUDA GPU"]
    (torch.cuda.is-bf16-supported :including-emulation False)     ; emulated, it is slow
      [torch.bfloat16 "the GPU computes in it"]
    True
      [torch.float16 "the GPU has no bfloat16; gradients are scaled"]))

(defn precision [device dtype]
  "The context in which the forward pass computes in DTYPE."
  (if (= dtype torch.float32)
    (nullcontext)
    (torch.autocast :device-type device.type :dtype dtype)))
