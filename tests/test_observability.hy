"What a run tells of itself: its speed and memory, its curves in TensorBoard, where its time goes."

(import  builtins
         json
         os
         pathlib [Path]
         re
         subprocess
         sys
         time
         types [SimpleNamespace]
         pytest
         torch
         torch.nn.attention [sdpa-kernel SDPBackend]
         torch.nn.functional :as F
         torch.utils.flop-counter [FlopCounterMode]
         asking [asker quick refused]
         nanogpt-hy.config [GPTConfig TrainConfig]
         nanogpt-hy.errors [out-of-memory WorkError]
         nanogpt-hy.lab.checkpoints.checkpoint [load-checkpoint]
         nanogpt-hy.lab.console [plain-console]
         nanogpt-hy.lab.data.chain-files [write-data]
         nanogpt-hy.lab.data.markov [ab-chain]
         nanogpt-hy.lab.files [append-row]
         nanogpt-hy.lab.training.memory [enough-memory peak-memory smaller-batch]
         nanogpt-hy.lab.training.profile [lines-of Profile profile-steps seen shares timed-table]
         nanogpt-hy.lab.training.report :as report-module
         nanogpt-hy.lab.training.report [facts Report]
         nanogpt-hy.lab.training.resume [resume-run]
         nanogpt-hy.lab.training.saving [save]
         nanogpt-hy.lab.training.session [begin go judge new-run]
         nanogpt-hy.lab.training.summary [flops-per-token in-words peak-flops scaled summary
                                          tokens-per-second]
         nanogpt-hy.lab.training.tensorboard [curves]
         nanogpt-hy.lab.training.trainer [evaluate steps]
         nanogpt-hy.ladder [build-model parameters-count STAGES])

(defn [(pytest.fixture :scope "session")] ab [tmp-path-factory]
  "A file of a/b lines."
  (setv path (/ (.mktemp tmp-path-factory "data") "ab.txt"))
  (write-data path (ab-chain) 2000 :seed 1)
  (str path))

(defn small [text #** options]
  "A run that takes a second."
  (new-run text #** {"preset_name" "ab"  "n_layer" 1  "n_embd" 8  "batch_size" 8  "max_iters" 40
                     "eval_interval" 20  "eval_iters" 2  "device" "cpu"  #** options}))

(defn [pytest.fixture] ask [ab tmp-path monkeypatch capsys]
  (.chdir monkeypatch tmp-path)
  (asker capsys))

(defn metrics [folder]
  (lfor  line (.splitlines (.read-text (/ folder "metrics.jsonl")))  (json.loads line)))


;;; Arithmetic

(setv SHAPE (GPTConfig :vocab-size 65 :block-size 24 :n-layer 3 :n-head 4 :n-embd 32 :dropout 0.1))

(defn counted [model c]
  "What torch's own counter sees in a step, for one token: attention as plain products."
  (setv ids (torch.zeros 2 c.block-size :dtype torch.long))
  (with [counter (FlopCounterMode :display False)
         _ (sdpa-kernel SDPBackend.MATH)]
    (.backward (F.cross-entropy (.flatten (model ids) 0 1) (.flatten ids))))
  (/ (.get-total-flops counter) (.numel ids)))

(defn [(pytest.mark.parametrize "stage" (list STAGES))]
  test-flops-are-those-that-torch-counts [stage]
  (setv model (build-model stage SHAPE))
  (assert (= (flops-per-token model SHAPE) (counted model SHAPE))))

(defn test-flops-of-nanogpts-small-gpt-by-hand []
  "6 layers, 384 channels, context 256: a block has 12 x 384 x 384 weights in matrices."
  (setv c (GPTConfig :vocab-size 65 :block-size 256 :n-layer 6 :n-head 6 :n-embd 384 :bias False)
        model (build-model "fast" c)
        found (flops-per-token model c)
        N (parameters-count model :positions False)
        palm (+ (* 6 N) (* 12 6 6 64 256)))
  (assert (= found (+ (* 6 (+ (* 6 12 384 384) (* 65 384))) (* 12 6 384 256)) 70,928,640))
  (assert (= (- palm found) (* 6 13 384))))        ; the layer norms, which are no matrices

(defn test-a-table-is-only-looked-up []
  (assert (= 0 (flops-per-token (build-model "bigram" SHAPE) SHAPE))))

(defn test-what-a-gpu-is-capable-of []
  (for [[name dtype peak] [["NVIDIA H100 80GB HBM3" torch.bfloat16 989e12]
                           ["NVIDIA H200" torch.float16 989e12]
                           ["NVIDIA A100-SXM4-40GB" torch.bfloat16 312e12]
                           ["NVIDIA A100 80GB PCIe" torch.bfloat16 312e12]
                           ["NVIDIA A100-SXM4-80GB MIG 1g.10gb" torch.bfloat16 None]
                           ["NVIDIA A100-SXM4-40GB" torch.float32 None]
                           ["NVIDIA H100 PCIe" torch.bfloat16 None]
                           ["NVIDIA H200 NVL" torch.bfloat16 None]
                           ["NVIDIA GeForce RTX 3060" torch.bfloat16 None]]]
    (assert (= (peak-flops name dtype) peak) name)))


;;; Speed and memory

(defn test-speed-is-that-of-the-steps-after-the-first [ab]
  (setv run (small ab))
  (assert (is (tokens-per-second run) None))
  (steps run 1)
  (assert (is (tokens-per-second run) None))
  (assert (= (get run.warm 0) run.tokens))
  (setv before run.seconds)
  (steps run 200)
  (setv speed (tokens-per-second run))
  (assert (= speed (pytest.approx (/ (* 200 8 16) (- run.seconds before)) :rel 0.02)))
  (evaluate run)
  (assert (= speed (tokens-per-second run))))

(defn test-peak-memory-is-of-this-process []
  (setv before (peak-memory (torch.device "cpu"))
        much   (torch.ones (// 400,000,000 4)))
  (assert (> before 50,000,000))
  (assert (>= (peak-memory (torch.device "cpu")) 400,000,000))
  (del much)
  (assert (>= (peak-memory (torch.device "cpu")) before)))

(defn test-peak-memory-elsewhere [monkeypatch]
  (setv here (peak-memory (torch.device "cpu")))
  (.setattr monkeypatch sys "platform" "darwin")
  (assert (= (peak-memory (torch.device "cpu")) (pytest.approx (/ here 1024) :rel 0.1)))
  (.setitem monkeypatch sys.modules "resource" None)           ; Windows
  (assert (is (peak-memory (torch.device "cpu")) None))
  (setv asked [])
  (.setattr monkeypatch torch.cuda "max_memory_allocated" (fn [device] (.append asked device) 7))
  (assert (= 7 (peak-memory (torch.device "cuda:1"))))
  (assert (= asked [(torch.device "cuda:1")])))

(defn test-the-summary [ab tmp-path]
  (setv run (begin (small ab :folder tmp-path)))
  (go run)
  (setv found (get (metrics tmp-path) -1)
        speed (get found "tokens_per_second"))
  (assert (= (get found "event") "end"))
  (assert (= (get found "tokens") (* 40 8 16)))
  (assert (> speed 0))
  (assert (= (get found "flops_per_second") (* speed (get found "flops_per_token"))))
  (assert (= (get found "flops_per_token") (flops-per-token run.model run.config)))
  (assert (is (get found "flops_utilization") None))
  (assert (> (get found "peak_memory") 50,000,000)))

(defn test-the-summary-on-a-gpu-that-is-known [ab monkeypatch]
  (setv run (small ab))
  (steps run 2)
  (setv run.device (torch.device "cuda")  run.dtype torch.bfloat16)
  (.setattr monkeypatch torch.cuda "max_memory_allocated" (fn [device] 2,345,678,901))
  (.setattr monkeypatch torch.cuda "get_device_name" (fn [device] "NVIDIA H100 80GB HBM3"))
  (setv found (summary run))
  (assert (= (* 989e12 (get found "flops_utilization"))
             (pytest.approx (get found "flops_per_second"))))
  (setv found (| found {"tokens_per_second" 1234567.8  "flops_per_second" 4e14
                        "flops_utilization" 0.4}))
  (assert (= (in-words found run.device)
             [["speed" (+ "1,234,568 tokens/s, 400 TFLOP/s, "
                          "40.0% of what the GPU is capable of")]
              ["memory" "at most 2.35 GB of the GPU's"]])))

(defn test-the-summary-of-nothing [ab]
  (setv run (small ab :max-iters 0))
  (go run)
  (setv found (summary run))
  (assert (is (get found "tokens_per_second") None))
  (assert (= (in-words (| found {"peak_memory" None}) run.device) [])))

(defn test-sizes-in-words []
  (for [[number words] [[0 "0 B"] [999 "999 B"] [999.9 "1 kB"] [1234567 "1.23 MB"] [5e8 "500 MB"]
                        [3.456e13 "34.6 TB"] [3.456e15 "3.46 PB"]]]
    (assert (= (scaled number "B") words))))

(defn test-names-are-no-markup [ab tmp-path monkeypatch capsys]
  (.setenv monkeypatch "FORCE_COLOR" "1")                    ; as on a terminal, in a table,
  (.setenv monkeypatch "COLUMNS" "1000")                     ; which is wide
  (setv text (/ tmp-path "a[b] [x].txt"))
  (.write-bytes text (.read-bytes (Path ab)))
  (.introduce (Report (begin (small text :folder (/ tmp-path "run")))) "[/so]")
  (setv said (. (.readouterr capsys) err))
  (assert (in "a[b] [x].txt" said))
  (assert (in "[/so]" said)))

(defn test-every-training-ends-with-its-summary [ask ab]
  (setv said (ask "train" ab #* (quick)))
  (assert (= said.code 0))
  (assert (re.search (+ r"\nspeed     [\d,]+ tokens/s, [\d.]+ [kMGT]?FLOP/s\n"
                        r"memory    at most [\d.]+ [MG]B\n")
                     said.err)))


;;; TensorBoard

(defn shown [folder]
  "-> dict: what TensorBoard reads from FOLDER: tag, step -> value."
  (import tensorboard.backend.event-processing.event-accumulator [EventAccumulator])
  (setv accumulator (.Reload (EventAccumulator (str folder))))
  (dfor  tag (get (.Tags accumulator) "scalars")
         s (.Scalars accumulator tag)
         #(tag s.step) s.value))

(defn written [folder]
  "-> dict: the same from metrics.jsonl."
  (setv rows  (lfor  row (metrics folder)  :if (in "step" row)  row)
        found {})
  (for [row rows]
    (setv [event step] [(get row "event") (get row "step")]
          flat (| row (dfor  [k v] (.items (.get row "best" {}))  f"best/{k}" v)))
    (.update found (dfor  [k v] (.items flat)  :if (in (type v) [int float])
                          #(f"{event}/{k}" step) v)))
  found)

(defn same-curves [folder]
  "Assert that TensorBoard shows just what metrics.jsonl says, in float32."
  (assert (= (shown folder) (pytest.approx (written folder) :rel 1e-6))))

(defn test-tensorboard-has-the-metrics [ab tmp-path]
  (setv run (begin (small ab :folder tmp-path)))
  (with [_ (curves run)]
    (go run))
  (same-curves tmp-path)
  (assert (in #("eval/val_loss" 40) (shown tmp-path)))
  (assert (in #("end/tokens_per_second" 40) (shown tmp-path)))
  (assert (= run.listeners [])))

(defn test-tensorboard-goes-on-with-the-run [ab tmp-path]
  "Stopped after an evaluation that the checkpoint does not know; gone on without; with again."
  (setv run (begin (small ab :folder tmp-path :max-iters 200)))
  (with [_ (curves run)]
    (judge run)
    (steps run 20)
    (judge run)
    (setv kept (.read-bytes (/ tmp-path "last.safetensors")))
    (steps run 20)
    (judge run))
  (.write-bytes (/ tmp-path "last.safetensors") kept)
  (go (resume-run ab :folder tmp-path :max-iters 80))
  (setv run (resume-run ab :folder tmp-path :max-iters 120 :eval-interval 15))
  (with [_ (curves run)]
    (go run))
  (same-curves tmp-path)
  (assert (= (sorted (sfor  [tag step] (shown tmp-path)  :if (= tag "eval/lr")  step))
             [0 20 40 60 80 90 105 120])))

(defn test-rows-of-others-are-no-curves [ab tmp-path]
  (setv run (begin (small ab :folder tmp-path)))
  (for [row [{"step" 1  "note" "mine"} {"step" "2"  "event" "eval"  "x" 1}
             {"step" 3  "event" "eval"  "x" (** 10 400)  "y" True}]]
    (append-row (/ tmp-path "metrics.jsonl") row))
  (with [_ (curves run)])
  (assert (= {#("eval/step" 3) 3} (shown tmp-path))))

(defn test-tensorboard-loses-nothing-to-a-kill [ab tmp-path]
  (setv words [sys.executable "-m" "nanogpt_hy" "train" ab "--tensorboard"
               #* (map str (quick "--max-iters" 1,000,000 "--eval-interval" 20))
               "--out" (str tmp-path)]
        process (subprocess.Popen words :stderr subprocess.PIPE :text True))
  (while (not (and (.exists (/ tmp-path "metrics.jsonl")) (> (len (written tmp-path)) 40)))
    (assert (is (.poll process) None) (.read process.stderr))
    (time.sleep 0.1))
  (.kill process)
  (.communicate process)
  (time.sleep 1)                       ; event files are in order of the second they were begun
  (setv before (sfor  [_ step] (shown tmp-path)  step)
        run (resume-run ab :folder tmp-path :max-iters (+ 20 (max before))))
  (assert (<= (- (max (sfor  [_ step] (written tmp-path)  step)) 20) (max before)))
  (with [_ (curves run)]
    (go run))
  (same-curves tmp-path)
  (assert (> (len (shown tmp-path)) 40)))

(defn test-tensorboard-by-the-command-line [ask ab tmp-path]
  (assert (= 0 (. (ask "train" ab "--out" "run" "--tensorboard" #* (quick)) code)))
  (assert (= 0 (. (ask "train" ab "--out" "run" "--resume" "--tensorboard" "--max-iters" 8) code)))
  (same-curves (/ tmp-path "run")))

(defn test-tensorboard-is-not-there [ask ab tmp-path monkeypatch]
  (setv real builtins.__import__)
  (defn without [name #* rest #** more]
    (setv [first #* others] (.split name "."))
    (when (and (in "tensorboard" [first #* others]) (!= first "nanogpt_hy"))
      (raise (ModuleNotFoundError "No module named 'tensorboard'" :name "tensorboard")))
    (real name #* rest #** more))
  (for [name (list sys.modules)]
    (when (.startswith name "torch.utils.tensorboard")
      (.delitem monkeypatch sys.modules name)))
  (.setattr monkeypatch builtins "__import__" without)
  (refused (ask "train" ab "--tensorboard" #* (quick)) "not installed" "pip install tensorboard")
  (assert (not (.exists (/ tmp-path "runs")))))

(defn test-tensorboard-is-loaded-only-if-asked [ab tmp-path]
  (setv script (+ "import sys; from nanogpt_hy.__main__ import main; main(sys.argv[1:]); "
                  "print([m for m in ('tensorboard', 'google.protobuf') if m in sys.modules])")
        words [sys.executable "-c" script "train" ab "--out" (str (/ tmp-path "run"))
               #* (map str (quick))]
        found (subprocess.run words :capture-output True :text True))
  (assert (= found.stdout "[]\n") found.stderr))

(defn test-curves-that-cannot-be-written [ab tmp-path monkeypatch]
  (import torch.utils.tensorboard [SummaryWriter])
  (setv run (begin (small ab :folder tmp-path)))
  (defn full [self]
    (raise (OSError 28 "No space left on device")))
  (with [_ (pytest.raises WorkError :match "cannot write the curves .*No space left.*--resume")
         _ (curves run)]
    (.setattr monkeypatch SummaryWriter "flush" full)
    (try
      (go run)
      (finally (.undo monkeypatch)))))


;;; The profile

(defn same-bits [folder other]
  "Assert that the runs in two folders came to the same."
  (setv [expected _] (load-checkpoint (/ folder "last.safetensors"))
        [found _] (load-checkpoint (/ other "last.safetensors")))
  (assert (= (set expected) (set found)))
  (for [[name tensor] (.items expected)]
    (assert (torch.equal tensor (get found name)) name)))

(defn [(pytest.mark.parametrize #("interval" "watched") [#(20 10) #(9 3) #(5 1) #(1 1)])]
  test-a-watched-run-is-the-same-run [ask ab tmp-path interval watched]
  (setv words (quick "--max-iters" 20 "--eval-interval" interval "--dropout" 0.1))
  (assert (= 0 (. (ask "train" ab "--out" "plain" #* words) code)))
  (setv said (ask "train" ab "--out" "watched" "--profile" #* words))
  (assert (= said.code 0))
  (same-bits (/ tmp-path "plain") (/ tmp-path "watched"))
  (assert (in f"profile   {watched} {(if (= watched 1) "step" "steps")}, watched" said.err))
  (assert (= (lfor  row (metrics (/ tmp-path "plain"))    (.get row "val_loss"))
             (lfor  row (metrics (/ tmp-path "watched"))  (.get row "val_loss")))))

(defn [(pytest.mark.parametrize "most" (range 1 30))] test-steps-to-watch [most]
  (setv [warm watched] (shares most))
  (assert (>= watched 1))
  (assert (>= warm 0))
  (assert (<= (+ warm warm watched) most))
  (assert (or (< most 16) (= [warm watched] [3 10]))))

(defn plain [lines [width 80]]
  "LINES of a profile as a terminal of so many columns shows them."
  (setv console (plain-console (open os.devnull "w") :width width :record True))
  (for [line lines]
    (.print console line))
  (.export-text console))

(defn test-what-a-profile-says [ab tmp-path]
  (setv run (begin (small ab :folder tmp-path))
        profile (profile-steps run 20)
        text (plain (lines-of profile)))
  (assert (= run.step 16))
  (assert (= profile.steps 10))
  (assert (= (list (map (fn [row] (get row 0)) profile.phases))
             ["draw the batch" "copy the batch" "forward and backward" "optimizer" "all else"]))
  (assert (= (sum (gfor  [_ seconds _] profile.phases  seconds)) (pytest.approx profile.seconds)))
  (assert (all (gfor  [_ seconds _] profile.phases  (> seconds 0))))
  (assert (< 0 profile.seconds profile.wall))
  (assert (in #("aten::addmm" 4.0) (lfor  [name _ calls] profile.operations  #(name (/ calls 10)))))
  (assert (not (any (gfor  [name _ _] profile.operations  (.startswith name "phase: ")))))
  (assert (<= (max (map len (.splitlines text))) 80))
  (setv [longest #* _] profile.operations)
  (for [part ["draw the batch" "forward and backward" "optimizer" "share" "ms/step"
              (.removeprefix (get longest 0) "aten::")
              "Python, and all other operations" "trace     "]]
    (assert (in part text) text)))

(defn test-numbers-of-a-profile-stay-whole-where-names-do-not []
  (setv rows [#("x" 1.25 10) #((* "y" 90) 2.5 10)])
  (for [width [60 80 120]]
    (setv [heads #* lines] (.splitlines (plain [(timed-table "phase" rows 5 10)] width)))
    (assert (= (.split heads) ["phase" "share" "ms/step" "calls/step"]))
    (assert (= (lfor  line lines  (cut (.split line) 1 None))
               [["25.0%" "125.000" "1"] ["50.0%" "250.000" "1"]]))))

(defn test-the-trace-is-one [ab tmp-path]
  (setv run (begin (small ab :folder tmp-path))
        profile (profile-steps run 20)
        events (get (json.loads (.read-text profile.trace)) "traceEvents")
        names (sfor  event events  (.get event "name")))
  (assert (= profile.trace (/ tmp-path "trace.json")))
  (assert (<= #{"phase: forward and backward" "phase: optimizer" "phase: step" "aten::addmm"}
              names))
  (assert (= [] (list (.glob tmp-path ".*")))))

(defn test-a-profile-without-a-folder [ab]
  (setv profile (profile-steps (small ab) 20))
  (assert (is profile.trace None))
  (assert (not-in "trace" (plain (lines-of profile)))))

(defn test-a-run-that-is-stopped-while-watched [ab]
  (setv run (small ab)
        run.stopping "SIGINT")
  (assert (is (profile-steps run 20) None))
  (assert (= run.step 0)))

(defn test-a-profile-leaves-no-mark-on-the-speed [ab]
  (setv run (small ab))
  (profile-steps run 20)
  (assert (is (tokens-per-second run) None))
  (steps run 5)
  (assert (> (tokens-per-second run) 0)))

(defn event [key kind * [calls 10] [marks False] [cpu 0] [self-cpu 0] [device 0] [self-device 0]]
  "As torch.profiler adds them up, in microseconds."
  (SimpleNamespace :key key :device-type kind :count calls :is-user-annotation marks
                   :cpu-time-total cpu :self-cpu-time-total self-cpu
                   :device-time-total device :self-device-time-total self-device))

(defn test-on-a-gpu-its-own-time-counts []
  "What the CPU waits is nobody's work; a kernel's time is its operation's, and counts once."
  (setv [CPU CUDA] [torch.autograd.DeviceType.CPU torch.autograd.DeviceType.CUDA]
        profile (seen [(event "phase: step" CPU :marks True :cpu 90,000 :device 60,000)
                       (event "phase: forward" CPU :marks True :cpu 9,000 :device 20,000)
                       (event "phase: forward" CUDA :marks True :device 25,000 :self-device 25,000)
                       (event "phase: optimizer" CPU :marks True :cpu 9,000 :device 5,000)
                       (event "aten::mm" CPU :self-cpu 500 :device 40,000 :self-device 40,000)
                       (event "aten::add" CPU :self-cpu 7,000 :device 9,000 :self-device 9,000)
                       (event "cudaStreamSynchronize" CPU :cpu 70,000 :self-cpu 70,000)
                       (event "sm90_gemm_bf16" CUDA :device 40,000 :self-device 40,000)
                       (event "elementwise" CUDA :device 9,000 :self-device 9,000)
                       (event "Memcpy HtoD" CUDA :device 1,000 :self-device 1,000)]
                      10 0.1))
  (assert profile.on-gpu)
  (assert (= profile.seconds (pytest.approx 0.05)))
  (assert (= (lfor  [name seconds _] profile.phases  #(name (round seconds 6)))
             [#("forward" 0.02) #("optimizer" 0.005) #("loss and backward" 0.025)]))
  (assert (= (lfor  [name _ _] (cut profile.operations 2)  name) ["aten::mm" "aten::add"]))
  (setv text (plain (lines-of profile)))
  (assert (in "the GPU computed 50% of that time" text))
  (assert (re.search r"mm +80.0% +4.000 +1\n" text))
  (assert (re.search r"all other operations +2.0% +0.100" text)))


;;; Too little memory

(defn test-what-is-no-want-of-memory []
  (assert (out-of-memory (MemoryError)))
  (assert (out-of-memory (torch.OutOfMemoryError "CUDA out of memory. Tried to allocate 2 GiB.")))
  (assert (out-of-memory (RuntimeError "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling …")))
  (assert (not (out-of-memory (RuntimeError "mat1 and mat2 shapes cannot be multiplied"))))
  (assert (not (out-of-memory (ValueError "out of memory")))))

(defn test-what-to-lower [ab tmp-path]
  (setv run (begin (small ab :folder tmp-path :batch-size 6 :gradient-accumulation-steps 2)))
  (defn said []
    (with [caught (pytest.raises WorkError)
           _ (enough-memory run)]
      (raise (torch.OutOfMemoryError "CUDA out of memory. Tried to allocate 2.00 GiB.")))
    (str caught.value))
  (assert (= (said) (+ "there is not enough memory for a batch of 6 x 16 tokens: use "
                       "--batch-size 3 with --gradient-accumulation-steps 4, which makes up for "
                       "it, or less than --block-size 16, --n-layer 1 or --n-embd 8")))
  (save run)
  (assert (.endswith (said) (+ f"; {tmp-path} keeps its last checkpoint, to go on from with "
                               "--resume")))
  (setv run (small ab :batch-size 1)  run.device (torch.device "cuda:1"))
  (assert (= (said) (+ "there is not enough memory on cuda:1 for a batch of 1 x 16 tokens: use "
                       "less than --block-size 16, --n-layer 1 or --n-embd 8"))))

(defn test-other-errors-stay-what-they-are [ab]
  (with [_ (pytest.raises RuntimeError :match "mat1 and mat2")
         _ (enough-memory (small ab))]
    (@ (torch.zeros 2 3) (torch.zeros 2 3))))

(defn test-memory-that-is-really-exhausted [ab tmp-path]
  "A process that may have three gigabytes of addresses, eight where torch has libraries for GPUs,
  and asks for more. (Stage fast would not: on a CPU it has but a part of a batch in hand.)"
  (setv most  (if torch.version.cuda 8,000,000 3,000,000)
        words (map str (quick "--stage" "gpt" "--n-embd" 256 "--batch-size" 100,000
                              "--eval-iters" "all"))
        command (+ f"ulimit -v {most}; exec {sys.executable} -m nanogpt_hy train {ab} "
                   f"--out run {(.join " " words)}")
        found (subprocess.run ["bash" "-c" command] :cwd tmp-path :capture-output True :text True))
  (assert (= found.returncode 1) found.stderr)
  (assert (not-in "Traceback" found.stderr))
  (setv line (get (.splitlines found.stderr) -1))
  (assert (.startswith line "nanogpt-hy: there is not enough memory for a batch of 100000 x 16 "))
  (for [part ["--batch-size 50000 with --gradient-accumulation-steps 2" "run keeps its last"]]
    (assert (in part line))))

(defn test-several-gpus-are-capable-of-more [ab monkeypatch]
  (setv run (new-run ab :preset-name "ab" :n-layer 1 :n-embd 8 :batch-size 8 :device "cpu"))
  (steps run 2)
  (setv run.device (torch.device "cuda")  run.dtype torch.bfloat16
        run.group  (SimpleNamespace :size 2))
  (monkeypatch.setattr torch.cuda "max_memory_allocated" (fn [device] 1))
  (monkeypatch.setattr torch.cuda "get_device_name" (fn [device] "NVIDIA H100 80GB HBM3"))
  (setv found (summary run))
  (assert (= (* 2 989e12 (get found "flops_utilization"))
             (pytest.approx (get found "flops_per_second")))))

(defn test-a-smaller-batch-makes-up-for-it []
  (assert (= (smaller-batch (TrainConfig :batch-size 12 :gradient-accumulation-steps 2))
             (+ "--batch-size 6 with --gradient-accumulation-steps 4, "
                "which makes up for it, or ")))
  (assert (= (smaller-batch (TrainConfig :batch-size 1)) "")))

(defn test-a-run-says-what-it-learns-from [ab]
  (setv run   (new-run ab :preset-name "ab" :n-layer 1 :n-embd 8 :device "cpu")
        told  (dict (facts run "asked for")))
  (assert (in f"{(len run.corpus.train) :,} to learn from, {(len run.corpus.val) :,} to judge by"
              (get told "text"))))

(defn test-how-much-was-counted-is-said-of-a-long-text-only [ab monkeypatch]
  (setv run   (small ab)
        said  (fn [] (get (dict (facts run "asked for")) "counting")))
  (assert (not-in "counted in the first" (said)))
  (.setattr monkeypatch report-module "COUNTED" 1000)
  (assert (.endswith (said) ", counted in the first 1,000")))

(defn test-evaluations-after-a-profile-have-a-head-again [ab capsys]
  (setv report (Report (small ab))
        row    (evaluate report.run))
  (.judged report report.run row)
  (.judged report report.run row)
  (.profiled report (Profile 1 1.0 1.0 False [] [] None))
  (.judged report report.run row)
  (setv said (. (.readouterr capsys) err))
  (assert (= (.count said "train loss") 2)))

(defn test-what-is-best-so-far-is-marked [ab capsys]
  (setv run  (new-run ab :preset-name "ab" :n-layer 1 :n-embd 8 :device "cpu" :max-iters 60
                      :eval-interval 3 :learning-rate 0.1)
        rows [])
  (setv report (Report run))
  (go run :judged (fn [run row] (.append rows (get row "val_loss")) (.judged report run row)))
  (setv lines  (cut (.splitlines (. (capsys.readouterr) err)) 1 None)
        better (lfor  [i loss] (enumerate rows)
                      (all (gfor  before (cut rows i)  (< loss before)))))
  (assert (= (lfor  line lines  (.endswith line "  best")) better))
  (assert (= (set better) #{True False})))

(defn test-who-asks-it-to-stop-is-heard [ab]
  "What is finished first may take a minute, where a step is compiled."
  (setv run (new-run ab :preset-name "ab" :n-layer 1 :n-embd 8 :device "cpu"))
  (with [report (Report run)]
    (setv [task]       report.progress.tasks
          [place #* _] report.progress.columns)
    (assert (= (.render place task) "step 0"))
    (setv run.asked "SIGINT")
    (assert (= (.render place task) "stopping (Ctrl-C: at once)"))))
