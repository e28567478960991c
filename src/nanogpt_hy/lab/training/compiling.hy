"torch.compile: when it pays, and what happens where it cannot be done."

(eval-when-compile
  (require hyrule [unless]
           nanogpt-hy.notation [deflayer]))
(import  pathlib [Path]
         shutil
         sys
         sysconfig
         torch
         torch.nn :as nn
         nanogpt-hy.lab.files [short]
         nanogpt-hy.lab.training.device [NARROW])

;; On a CPU compiling takes 10 to 50 seconds. It saves a third of the time of a narrow model; where
;; steps are recorded (recording.hy), 0.3 with 32 channels, 0.1 with 48 and nothing with 64. A wide
;; model's time goes into products of matrices. The numbers for GPUs are guesses.
(setv LONG       60             ; seconds of computing, as estimated, from which on it is worth it
      FEW        32             ; channels up to which it is faster than a recorded step
      SPEEDS     {"cpu" 1e11    ; floating-point operations a second, of wide layers: a core or two,
                  "cuda" 4e13}  ; a GPU of a data centre in bfloat16
      A-LAYER    5e-4           ; seconds to start all that a GPU computes of one, there and back
      MOST-FORMS 64)            ; of a compiled function, for models and batches of other sizes

(defn seconds [device config train]
  "About how long a run computes: six operations for each weight and token, if its layers are wide;
  and on a GPU no less than it takes to start so many small ones."
  (setv weights (+ (* 12 config.n-layer (** config.n-embd 2))
                   (* config.vocab-size config.n-embd))
        batches (* train.gradient-accumulation-steps train.max-iters)
        work    (/ (* 6 weights train.batch-size config.block-size batches)
                   (get SPEEDS device.type)))
  (if (= device.type "cuda")
    (max work (* A-LAYER config.n-layer batches))
    work))

(defn has-headers []
  "Whether Python.h is where torch looks for it; a framework of macOS has it in a place of its own."
  (setv [include library] (map (fn [name] (Path (sysconfig.get-path name))) ["include" "stdlib"]))
  (any (gfor  place [include (/ library.parent.parent "Headers")]  (.exists (/ place "Python.h")))))

(defn lacking [device]
  "What torch would need to compile for DEVICE and is not here, in words; None if nothing is. For a
  GPU triton does it, which needs C and Python's headers itself."
  (import torch.utils._triton [has-triton])
  (setv on-gpu    (= device.type "cuda")
        compilers (if on-gpu ["cc" "gcc" "clang"] ["c++" "g++" "clang++"]))
  (cond
    (not (any (map shutil.which compilers))) "no compiler was found"
    (not (has-headers))                      "Python.h was not found: python3-dev has it"
    (and on-gpu (not (has-triton)))          "no triton was found"))

(defn not-worth-it [device config train recorded]
  "Why compiling would not pay, in words; None if it would."
  (cond
    (not-in device.type SPEEDS)
      "only for CPUs and CUDA GPUs"
    (< (seconds device config train) LONG)
      "takes longer than it saves in a run as short as this"
    (= device.type "cuda")
      None
    (> config.n-embd NARROW)
      "saves nothing of wide layers on a CPU"
    config.dropout
      "does not pay with dropout on a CPU"
    (and recorded (> config.n-embd FEW) (> (torch.get-num-threads) 1))
      "no faster than two threads and a recorded step"))

(defn choose-compile [device config train * [recorded False]]
  "-> whether to compile, and the reason in words. RECORDED: that is how steps are done otherwise."
  (setv asked   (= train.compile "on")
        against (cond
                  asked                   None
                  (= train.compile "off") "asked for"
                  True                    (not-worth-it device config train recorded))
        lack    (unless against (lacking device)))
  (cond
    against                [False against]
    lack                   [False (if asked f"asked for, but {lack}" lack)]
    asked                  [True "asked for"]
    (= device.type "cuda") [True "a long run on a GPU"]
    True                   [True "a long run of narrow layers"]))

(defn do-without [e]
  "Say on stderr that compiling failed with E; raise E again if it is not the compiler's."
  (unless (or (isinstance e #(ImportError TypeError))          ; another torch can do less
              (.startswith (. (type e) __module__) #("torch._dynamo" "torch._inductor")))
    (raise e))
  (setv why (short (get (.splitlines (or (str e) "no reason given")) 0)))
  (print f"nanogpt-hy: compiling failed ({why}): going on without it, as with --compile off"
         :file sys.stderr))

(defn compile-lazily [function [exactly (fn [] True)]]
  "FUNCTION, compiled at its first call: for just the shapes that it meets while (EXACTLY) is true,
  else once for all shapes. Where that fails it serves as it is, after a line on stderr."
  (setv forms {True  (torch.compile function :dynamic False)
               False (torch.compile function)})
  ;; Runs of other sizes are other forms of the same few functions. And the way back is compiled
  ;; together with them: when it is called, nobody is here who could do without.
  (setv torch._dynamo.config.recompile-limit MOST-FORMS
        torch._functorch.config.force-non-lazy-backward-lowering True)
  (defn call [#* arguments #** options]
    (nonlocal forms)
    (try
      ((get forms (exactly)) #* arguments #** options)
      (except [e Exception]
        (do-without e)
        (setv forms {True function  False function})
        (function #* arguments #** options))))
  call)

(deflayer Compiled [model]
  "(B T) -> (B T V): MODEL, compiled. Batches of training have one shape and those of evaluation
  several; what serves all of them would make a step slower."
  [model model
   call  (compile-lazily model torch.is-grad-enabled)]
  (forward [self ids]
    (self.call ids)))
