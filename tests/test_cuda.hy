"The same on a GPU. Each test runs on the CPU too, so that it is known to be a test of something.

`pytest -m cuda` runs those that need a GPU; without one it says that they were left out."

(eval-when-compile
  (require hyrule [ncut]))
(import  gc
         json
         os
         subprocess
         sys
         pytest
         torch
         asking [asker quick refused]
         nanogpt-hy.config [GPTConfig TrainConfig]
         nanogpt-hy.course [next-logits train-step]
         nanogpt-hy.kv-cache [KVCache memory-for Reader]
         nanogpt-hy.lab.checkpoints.trained [open-model]
         nanogpt-hy.lab.data.chain-files [write-data]
         nanogpt-hy.lab.data.markov [ab-chain]
         nanogpt-hy.lab.filters [among-top-k among-top-p tempered]
         nanogpt-hy.lab.training [trainer]
         nanogpt-hy.lab.training.descent [Descent]
         nanogpt-hy.lab.training.device [choose-dtype]
         nanogpt-hy.lab.training.profile [profile-steps]
         nanogpt-hy.lab.training.resume [resume-run]
         nanogpt-hy.lab.training.saving [fork save state-tensors]
         nanogpt-hy.lab.training.session [begin go judge new-run]
         nanogpt-hy.lab.training.summary [summary]
         nanogpt-hy.lab.training.trainer [at-work evaluate Forward steps]
         nanogpt-hy.ladder [build-model STAGES])

(setv everywhere (pytest.mark.parametrize "device"
                   ["cpu" (pytest.param "cuda" :marks pytest.mark.cuda)])
      on-gpu     (pytest.mark.parametrize "device" [(pytest.param "cuda" :marks pytest.mark.cuda)]))

(defn [(pytest.fixture :scope "session")] ab [tmp-path-factory]
  "A file of a/b lines."
  (setv path (/ (.mktemp tmp-path-factory "data") "ab.txt"))
  (write-data path (ab-chain) 2000 :seed 1)
  (str path))

(defn [pytest.fixture] ask [ab tmp-path monkeypatch capsys]
  (.chdir monkeypatch tmp-path)
  (asker capsys))

(defn small [text device #** options]
  "A run that takes a moment. Its heads have 8 channels, as the GPU's own attention wants them."
  (new-run text #** {"preset_name" "ab"  "n_layer" 2  "n_embd" 32  "batch_size" 16  "max_iters" 60
                     "eval_interval" 20  "eval_iters" 2  "device" device  "dtype" "float32"
                     "compile" "off"  #** options}))

(defn same-state [a b]
  "Assert that two runs hold the same bits in everything that the next step depends on."
  (setv [left right] (map state-tensors [a b]))
  (assert (= (set left) (set right)))
  (for [[name tensor] (.items left)]
    (assert (torch.equal tensor (get right name)) name))
  (assert (= #(a.step a.tokens a.evaluated a.best a.stale a.loss)
             #(b.step b.tokens b.evaluated b.best b.stale b.loss))))


;;; Training

(defn [everywhere] test-training-is-the-cpus-to-rounding [ab device]
  "The same first weights and the same windows, so nearly the same losses."
  (setv [here there] [(small ab "cpu") (small ab device)])
  (for [[a b] (zip (.parameters here.model) (.parameters there.model))]
    (assert (torch.equal a (.cpu b))))
  (for [_ (range 10)]
    (assert (= (steps here 1) (pytest.approx (steps there 1) :rel 1e-3))))
  (assert (= there.device.type device (. (next (.parameters there.model)) device type))))

(defn [everywhere] test-train-sample-and-eval-by-the-command-line [ask ab device]
  (setv words (quick "--n-embd" 32 "--max-iters" 60 "--eval-interval" 30 "--device" device
                    "--compile" "off")
        said (ask "train" ab "--out" "run" #* words))
  (assert (= said.code 0) said)
  (for [part ["all steps are done" "speed     " "memory    at most " "It writes:"]]
    (assert (in part said.err)))
  (setv [one two] (lfor  _ (range 2)
                         (ask "sample" "--ckpt" "run" "--device" device "--seed" 3 "--top-k" 2
                              "--top-p" 0.9 "--max-new-tokens" 50)))
  (assert (= one.code two.code 0) one)
  (assert (= one.out two.out))
  (assert (<= (set one.out) (set "ab\n")))
  (assert (= 0 (. (ask "sample" "--device" device "--explain" "--ckpt" "run"
                     "--max-new-tokens" 3) code)))
  (setv losses (lfor  where [device "cpu"]
                      (get (json.loads (. (ask "eval" "--json" "--ckpt" "run"
                                                 "--device" where) out)) "loss")))
  (assert (= (get losses 0) (pytest.approx (get losses 1) :rel 1e-4))))

(defn [everywhere] test-evaluation-is-the-cpus-to-rounding [ab device]
  (setv here (small ab "cpu")  there (small ab device))
  (for [name ["train_loss" "val_loss"]]
    (assert (= (get (evaluate here) name) (pytest.approx (get (evaluate there) name) :rel 1e-4)))))

(defn [everywhere] test-a-run-leaves-the-default-generators-alone [ab device]
  (defn drawn []
    [(torch.rand 4) (.cpu (torch.rand 4 :device device))])
  (torch.manual-seed 5)
  (setv expected (drawn))
  (torch.manual-seed 5)
  (setv run (small ab device :dropout 0.2))
  (steps run 5)
  (evaluate run)
  (for [[a b] (zip expected (drawn))]
    (assert (torch.equal a b))))

(defn [everywhere] test-settings-of-torch-are-as-before [ab device]
  (setv run (small ab device :deterministic True))
  (assert (not (torch.are-deterministic-algorithms-enabled)))
  (with [_ (at-work run)]
    (assert (torch.are-deterministic-algorithms-enabled)))
  (steps run 2)
  (assert (not (torch.are-deterministic-algorithms-enabled)))
  (assert (in "CUBLAS_WORKSPACE_CONFIG" os.environ)))


;;; The same again

(setv PRECISIONS (pytest.mark.parametrize "dtype" ["float32" "bfloat16"]))

(defn [everywhere  PRECISIONS] test-resume-gives-the-uninterrupted-runs-bits
    [ab tmp-path device dtype]
  (setv options {"deterministic" True  "dropout" 0.2  "dtype" dtype}
        whole (small ab device #** options))
  (go whole)
  (setv cut-short (begin (small ab device :folder tmp-path #** options)))
  (judge cut-short)
  (steps cut-short 20)
  (judge cut-short)
  (steps cut-short 13)                 ; between two evaluations
  (save cut-short)
  (torch.rand 7 :device device)
  (setv resumed (resume-run ab :folder tmp-path))
  (same-state cut-short resumed)
  (go resumed)
  (same-state whole resumed))

(defn [everywhere] test-a-fork-takes-the-same-steps [ab device]
  (setv run (small ab device :deterministic True :dropout 0.2))
  (steps run 10)
  (setv other (fork run))
  (steps run 10)
  (steps other 10)
  (same-state run other))

(defn [everywhere] test-a-checkpoint-has-no-device [ab tmp-path device]
  "What was trained there goes on here; draws of dropout alone are others."
  (setv run (begin (small ab device :folder tmp-path)))
  (steps run 5)
  (judge run)
  (setv resumed (resume-run ab :folder tmp-path :device "cpu"))
  (assert (= resumed.device.type "cpu"))
  (assert (= (steps resumed 1) (pytest.approx (steps run 1) :rel 1e-3)))
  (assert (= "cpu" (. (next (.parameters (. (open-model tmp-path) model))) device type))))


;;; Fewer bits

(defn kinds [run]
  "The dtypes in which the first block's feed-forward computes, and of the logits."
  (setv seen []
        layer (. run.model transformer h [0] mlp c-fc)
        handle (.register-forward-hook layer (fn [layer inputs out] (.append seen out.dtype)))
        ids (torch.zeros 1 4 :dtype torch.long :device run.device))
  (.append seen (. (run.forward ids) dtype))
  (.remove handle)
  seen)

(defn [everywhere] test-bfloat16-computes-in-it-and-learns [ab device]
  (setv run (small ab device :dtype "bfloat16")
        first-loss (get (evaluate run) "val_loss"))
  (assert (= (kinds run) [torch.bfloat16 torch.float32]))
  (steps run 60)
  (assert (< (get (evaluate run) "val_loss") (- first-loss 0.3)))
  (for [tensor (.values (state-tensors run))]
    (assert (!= tensor.dtype torch.bfloat16)))
  (assert (is run.scaler None)))

(defn half-run [ab device monkeypatch #** options]
  "A run in float16. On a CPU it is refused, but the same code runs."
  (when (= device "cpu")
    (.setattr monkeypatch trainer "choose_dtype" (fn [#* _ #** how] [torch.float16 "for a test"])))
  (small ab device :dtype "float16" #** options))

(defn [everywhere] test-float16-scales-and-learns [ab monkeypatch device]
  (setv run (half-run ab device monkeypatch)
        first-loss (get (evaluate run) "val_loss"))
  (assert (= (kinds run) [torch.float16 torch.float32]))
  (steps run 60)
  (assert (> (.get-scale run.scaler) 1))
  (assert (< (get (evaluate run) "val_loss") (- first-loss 0.3))))

(defn [everywhere] test-float16-steps-are-float32s-nearly [ab monkeypatch device]
  (setv half (half-run ab device monkeypatch))
  (.undo monkeypatch)
  (setv full (small ab device))
  (for [_ (range 5)]
    (assert (= (steps half 1) (pytest.approx (steps full 1) :rel 0.01)))))

(defn [everywhere] test-float16-passes-over-a-step-that-is-too-large [ab monkeypatch device]
  "A scale that float16 cannot hold: the weights stay, the scale is halved until it can."
  (setv run (half-run ab device monkeypatch :grad-clip 1.0))
  (steps run 1)
  (.load-state-dict run.scaler {#** (.state-dict run.scaler)  "scale" (** 2.0 100)})
  (setv before (lfor  w (.parameters run.model)  (.clone w)))
  (steps run 1)
  (assert (= (.get-scale run.scaler) (** 2.0 99)))
  (for [[a b] (zip before (.parameters run.model))]
    (assert (torch.equal a b)))
  (steps run 120)
  (assert (< 1 (.get-scale run.scaler) (** 2.0 40)))
  (assert (not (torch.equal (get before 0) (next (.parameters run.model))))))

(defn [everywhere] test-float16-resumes-with-its-scale [ab tmp-path monkeypatch device]
  (setv run (begin (half-run ab device monkeypatch :folder tmp-path :deterministic True)))
  (judge run)
  (steps run 3)
  (.load-state-dict run.scaler {#** (.state-dict run.scaler)  "scale" 512.0  "_growth_tracker" 7})
  (save run)
  (setv resumed (resume-run ab :folder tmp-path))
  (for [r [run resumed]]
    (steps r 4)
    (assert (= 512.0 (.get-scale r.scaler)))
    (assert (= 11 (get (.state-dict r.scaler) "_growth_tracker"))))
  (same-state run resumed))

(defn test-float16-is-refused-on-a-cpu [ask ab]
  (refused (ask "train" ab #* (quick "--dtype" "float16")) "float16 needs a CUDA GPU"))

(defn test-what-auto-takes [monkeypatch]
  "A GPU that only emulates bfloat16 computes in float16."
  (setv gpu (torch.device "cuda")
        able (fn [[including-emulation True]] including-emulation))
  (.setattr monkeypatch torch.cuda "is_bf16_supported" able)
  (assert (= torch.float16 (get (choose-dtype "auto" gpu None) 0)))
  (.setattr monkeypatch torch.cuda "is_bf16_supported" (fn [#** how] True))
  (assert (= torch.bfloat16 (get (choose-dtype "auto" gpu None) 0))))


;;; Compiled

(defn [everywhere  pytest.mark.slow] test-compiled-is-the-same-to-rounding [ab device can-compile]
  (can-compile device)
  (setv plain (small ab device)  compiled (small ab device :compile "on"))
  (assert compiled.compiled compiled.compile-reason)
  (for [_ (range 5)]
    (assert (= (steps compiled 1) (pytest.approx (steps plain 1) :rel 1e-3))))
  (assert (= (get (evaluate compiled) "val_loss")
             (pytest.approx (get (evaluate plain) "val_loss") :rel 1e-3))))


;;; Sampling

(defn [everywhere] test-cached-logits-are-the-uncached-ones [ab device]
  (setv run (small ab device)  cache (KVCache)
        ids (torch.randint 3 #(2 20) :device device))
  (.eval run.model)
  (for [T (range 1 21)]
    (setv so-far (ncut ids : (: T)))
    (torch.testing.assert-close (.next-logits cache run.model so-far :block-size 16)
                                (next-logits run.model so-far :block-size 16)
                                :atol 1e-4 :rtol 1e-4)))


;;; What it tells

(defn [everywhere] test-the-profile-is-of-the-device [ab device]
  (setv profile (profile-steps (small ab device) 20))
  (assert (= profile.on-gpu (= device "cuda")))
  (assert (<= (if profile.on-gpu
                #{"forward" "optimizer" "loss and backward"}
                #{"forward and backward" "optimizer"})       ; by the written-out gradient
              (sfor  [name _ _] profile.phases  name)))
  (assert (all (gfor  [_ seconds _] profile.phases  (>= seconds 0))))
  (assert (< 0 (sum (gfor  [_ seconds _] profile.operations  seconds)) (* 1.01 profile.seconds)))
  (assert (< 0 profile.seconds profile.wall)))

(defn [everywhere] test-the-summary-is-of-the-device [ab device]
  (setv run (small ab device))
  (steps run 5)
  (setv found (summary run))
  (assert (> (get found "tokens_per_second") 0))
  (assert (> (get found "peak_memory") (* 12 26,000))))      ; weights and two moments


;;; Too little memory

(defn [pytest.fixture] little-memory []
  "A GPU of which this process may have a hundredth."
  (gc.collect)
  (torch.cuda.empty-cache)
  (torch.cuda.set-per-process-memory-fraction 0.01)
  (yield)
  (torch.cuda.set-per-process-memory-fraction 1.0)
  (torch.cuda.empty-cache))

(defn [pytest.mark.cuda] test-too-little-memory-on-the-gpu [ask ab little-memory]
  (setv words (quick "--device" "cuda" "--n-embd" 256 "--n-layer" 4 "--batch-size" 20000
                     "--eval-iters" "all" "--compile" "off")
        said (ask "train" ab "--out" "run" #* words)
        line (get (.splitlines said.err) -1))
  (assert (= said.code 1) said)
  (assert (not-in "Traceback" said.err))
  (assert (in (+ "there is not enough memory on cuda for a batch of 20000 x 16 tokens: use "
                 "--batch-size 10000 with --gradient-accumulation-steps 2") line)))


;;; Where there is none, and what it is for

;; Here, as on a GPU, most operations ask where each tensor is (a look into a table does not).
(setv META (torch.device "meta"))

(defn [(pytest.mark.parametrize "stage" STAGES)] test-nothing-of-a-step-stays-on-the-cpu [stage]
  (setv model   (.to (build-model stage (GPTConfig :vocab-size 5 :dropout 0.1)) META)
        descent (Descent model (TrainConfig))
        ids     (torch.zeros 2 8 :dtype torch.long :device META))
  (.set-rate descent 1e-3)
  (setv loss   (train-step (Forward model META torch.float32 None True) descent [ids ids] [ids ids])
        logits (tempered (next-logits model ids) 0.7))
  (for [t [loss #* (.values (.moments descent)) (among-top-k logits 2) (among-top-p logits 0.9)]]
    (assert (= t.device META))))

(defn [(torch.inference-mode)] test-nothing-of-a-cache-stays-on-the-cpu []
  (setv model  (.to (build-model "fast" (GPTConfig :vocab-size 5)) META)
        reader (Reader model True)
        memory (memory-for model 2)
        ids    (torch.zeros 2 8 :dtype torch.long :device META))
  (for [logits [(.window reader ids) (.tokens reader (ncut ids : :3) memory)
                (.token reader (ncut ids : :4) memory)]]
    (assert (= logits.device META))))

(defn test-without-a-gpu-that-is-said [root]
  (setv env {#** os.environ  "CUDA_VISIBLE_DEVICES" ""  "CI" "true"}
        words [sys.executable "-m" "pytest" "-m" "cuda" "-p" "no:cacheprovider" "-q"
               "tests/test_cuda.hy"]
        found (subprocess.run words :cwd root :env env :capture-output True :text True))
  (assert (= found.returncode 0) found.stdout)
  (assert (in "tests need an NVIDIA GPU and there is none here: left out" found.stdout)))

(defn [on-gpu  pytest.mark.slow] test-shakespeare-gpu-reaches-its-loss
    [shakespeare tmp-path device record-property]
  "The preset's best validation loss; nanoGPT's own record of it is 1.4697."
  (setv run (begin (new-run (str shakespeare) :preset-name "shakespeare-gpu" :device device
                            :folder tmp-path)))
  (go run)
  (setv found (summary run))
  (for [[name value] (.items {#** found  "seconds" run.seconds  #** run.best})]
    (record-property name value))
  (print f"{run.best}, {run.seconds :.0f} s, {(get found "tokens_per_second") :,.0f} tokens/s")
  (assert (<= (get run.best "val_loss") 1.48)))
