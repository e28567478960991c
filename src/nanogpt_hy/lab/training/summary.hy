"What a run comes to: its speed, the arithmetic behind it, and its memory."

(import  re
         torch
         torch.nn :as nn
         nanogpt-hy.course [Head]
         nanogpt-hy.fast [Attention]
         nanogpt-hy.lab.training.memory [peak-memory]
         nanogpt-hy.ladder [Average])

;; Dense bfloat16 and float16 operations a second, by the GPU's name. NVIDIA's data sheets: A100 312
;; TFLOPS; H100 SXM and H200 SXM 1979 with sparsity, so half of that without.
(setv PEAKS {r"NVIDIA A100(?!.* MIG ).*"           312e12      ; MIG: a slice of one
             r"NVIDIA H100 80GB HBM3|NVIDIA H200"  989e12})

(defn layer-flops [layer c]
  "What LAYER by itself computes for one token in a step, in a model of config C.

  A matrix of N weights takes N multiplications and N additions forward and twice that backward:
  6 N. Scores and mixture of D channels over all T places take 4 T D forward, so 12 T D; that the
  mask could spare half of it is not considered. Average's scores are of zeros, and learn nothing."
  (setv T c.block-size)
  (cond
    (isinstance layer nn.Linear) (* 6 (.numel layer.weight))
    (isinstance layer Head)      (* 12 T layer.key.out-features)
    (isinstance layer Attention) (* 12 T c.n-embd)
    (isinstance layer Average)   (* 6 T c.n-embd)
    True                         0))

(defn flops-per-token [model c]
  "Floating-point operations that one token of a training step takes, in matrix products: what
  norms and activations do beside them is not counted.

  This is the estimate of Chowdhery et al., PaLM, 2022, appendix B, 6 N + 12 L H Q T, which
  nanoGPT's estimate_mfu has too, but N counts only the weights that are multiplied with: tables are
  looked up, and not every stage has attention. torch's FlopCounterMode counts the same."
  (sum (gfor  layer (.modules model)  (layer-flops layer c))))

(defn peak-flops [name dtype]
  "-> operations a second that the GPU NAME is capable of in DTYPE, or None if that is not known."
  (when (in dtype [torch.bfloat16 torch.float16])
    (next (gfor  [pattern peak] (.items PEAKS)  :if (re.fullmatch pattern name)  peak) None)))

(defn tokens-per-second [run]
  "How fast RUN trains in this process, or None if it has not yet taken two steps. Evaluations do
  not count, nor the first step, which may compile the model."
  (when (and run.warm (> run.tokens (get run.warm 0)))
    (setv [tokens seconds] run.warm)
    (/ (- run.tokens tokens) (- run.seconds seconds))))

(defn summary [run]
  "-> dict: what metrics.jsonl keeps of RUN's speed and size; None where something is not known."
  (setv speed (tokens-per-second run)
        each  (flops-per-token run.model run.config)
        flops (when speed (* speed each))
        peak  (when (= run.device.type "cuda")
                (peak-flops (torch.cuda.get-device-name run.device) run.dtype))
        share (when (and flops peak) (/ flops peak run.group.size)))
  {"tokens" run.tokens  "tokens_per_second" speed  "flops_per_token" each
   "flops_per_second" flops  "flops_utilization" share
   "peak_memory" (peak-memory run.device)})

(defn scaled [number unit]
  "A number in three digits and a size of UNIT  ; (scaled 1234567 \"B\") => '1.23 MB'"
  (for [prefix ["" "k" "M" "G" "T" "P" "E"]]
    (when (< number 999.5)
      (break))
    (setv number (/ number 1000)))
  f"{number :.3g} {prefix}{unit}")

(defn in-words [found device]
  "-> pairs of text: what a `summary` FOUND of a run on DEVICE says."
  (setv speed (get found "tokens_per_second")
        flops (get found "flops_per_second")
        share (get found "flops_utilization")
        bytes (get found "peak_memory"))
  (+ (if speed
       [["speed" (+ f"{speed :,.0f} tokens/s"
                    (if flops f", {(scaled flops "FLOP/s")}" "")
                    (if share f", {(* 100 share) :.1f}% of what the GPU is capable of" ""))]]
       [])
     (if bytes
       [["memory" (+ f"at most {(scaled bytes "B")}"
                     (if (= device.type "cuda") " of the GPU's" ""))]]
       [])))
