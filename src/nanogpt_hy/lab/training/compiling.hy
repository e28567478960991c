"torch.compile: when it pays, and what happens where it cannot be done."

(eval-when-compile
  (require hyrule [unless]
           nanogpt-hy.notation [deflayer]))
(import  shutil
         sys
         torch
         torch.nn :as nn
         nanogpt-hy.lab.files [short]
         nanogpt-hy.lab.training.device [NARROW])

;; On a CPU compiling takes 20 to 50 seconds. It saves a third of the time of a narrow model, and
;; nothing of a wide one's, which goes into products of matrices.
(setv LONG  60        ; seconds of computing, as estimated, from which on it is worth it
      SPEED 1e11)     ; floating-point operations a second of a core or two, in wide layers

(defn cpu-seconds [config train]
  "About how long a run computes on a CPU, if its layers are wide: six operations for each weight
  and token."
  (setv weights (+ (* 12 config.n-layer (** config.n-embd 2))
                   (* config.vocab-size config.n-embd))
        tokens  (* train.batch-size train.gradient-accumulation-steps config.block-size
                   train.max-iters))
  (/ (* 6 weights tokens) SPEED))

(defn has-compiler [device]
  "Whether torch can compile for DEVICE: for a GPU by triton, which needs a C compiler itself."
  (setv wanted (if (= device.type "cuda") ["cc" "gcc" "clang"] ["c++" "g++" "clang++"]))
  (unless (any (map shutil.which wanted))
    (return False))
  (when (!= device.type "cuda")
    (return True))
  (import torch.utils._triton [has-triton])
  (has-triton))

(defn choose-compile [device config train]
  "-> whether to compile, and the reason in words."
  (cond
    (= train.compile "off") [False "asked for"]
    (= train.compile "on")  (if (has-compiler device)
                              [True "asked for"]
                              [False "asked for, but no compiler was found"])
    (= device.type "cuda")  (if (has-compiler device)
                              [True "a GPU and a compiler are there"]
                              [False "no compiler was found"])
    (< (cpu-seconds config train) LONG)
                            [False "takes longer than it saves in a run as short as this"]
    (> config.n-embd NARROW)
                            [False "saves nothing of wide layers on a CPU"]
    config.dropout          [False "does not pay with dropout on a CPU"]
    (has-compiler device)   [True "a long run of narrow layers"]
    True                    [False "no compiler was found"]))

(defn compile-lazily [function]
  "FUNCTION, compiled at its first call. Where that fails it serves as it is, after a line on
  stderr."
  (setv now (torch.compile function))
  (defn call [#* arguments #** options]
    (nonlocal now)
    (try
      (now #* arguments #** options)
      (except [e Exception]
        (unless (.startswith (. (type e) __module__) #("torch._dynamo" "torch._inductor"))
          (raise))
        (setv why (short (get (.splitlines (or (str e) "no reason given")) 0)))
        (print f"nanogpt-hy: compiling failed ({why}): going on without it, as with --compile off"
               :file sys.stderr)
        (setv now function)
        (now #* arguments #** options))))
  call)

(deflayer Compiled [model]
  "(B T) -> (B T V): MODEL, compiled."
  [model model
   call  (compile-lazily model)]
  (forward [self ids]
    (self.call ids)))
