"The long run: what is trained, that nothing else changes it, and that nothing of it is lost."

(import  collections [Counter]
         concurrent.futures [ThreadPoolExecutor]
         dataclasses [replace]
         json
         math [exp inf log sqrt]
         os
         pathlib [Path]
         signal
         statistics [fmean stdev]
         subprocess
         sys
         time
         pytest
         torch
         torch.nn :as nn
         torch.nn.functional :as F
         subjects [small-run]
         nanogpt-hy.config [GPTConfig preset TrainConfig]
         nanogpt-hy.course [cross-entropy]
         nanogpt-hy.errors [RequestError WorkError]
         nanogpt-hy.lab.checkpoints.checkpoint [load-checkpoint read-meta]
         nanogpt-hy.lab.checkpoints.trained [open-model]
         nanogpt-hy.lab.data.chain-files [write-data]
         nanogpt-hy.lab.data.corpus [check-block-size read-corpus]
         nanogpt-hy.lab.data.markov [ab-chain floor window-floor]
         nanogpt-hy.lab.training.descent [groups-of learning-rate-at]
         nanogpt-hy.lab.training.device :as device
         nanogpt-hy.lab.training.device [choose-device choose-dtype deterministic precision
                                         threads-for with-threads]
         nanogpt-hy.lab.training.evaluation [all-of by-line finest floor-here loss-floor
                                             mean-loss whole-batches yardsticks]
         nanogpt-hy.lab.training.randomness [named-seed]
         nanogpt-hy.lab.training.resume [check-moments resume-run]
         nanogpt-hy.lab.training.saving [fork save state-tensors]
         nanogpt-hy.lab.training.session [begin chosen-preset go judge new-run tuned-run]
         nanogpt-hy.lab.training.trainer [at-work batches-of eval-iters evaluate fresh-batches
                                          steps])

(defn [(pytest.fixture :scope "session")] ab [tmp-path-factory]
  "A file of a/b lines."
  (setv path (/ (.mktemp tmp-path-factory "data") "ab.txt"))
  (write-data path (ab-chain) 2000 :seed 1)
  (str path))

(defn small [text #** options]
  "A run that takes a second."
  (new-run text #** {"preset_name" "ab"  "n_layer" 1  "n_embd" 8  "batch_size" 8  "max_iters" 60
                     "eval_interval" 20  "eval_iters" 2  "device" "cpu"  #** options}))

(defn same-state [a b]
  "Assert that two runs hold the same bits in everything that the next step depends on."
  (setv states (list (map state-tensors [a b])))
  (assert (= (set (get states 0)) (set (get states 1))))
  (for [[name tensor] (.items (get states 0))]
    (assert (torch.equal tensor (get states 1 name)) name))
  (assert (= #(a.step a.tokens a.evaluated a.best a.stale a.loss)
             #(b.step b.tokens b.evaluated b.best b.stale b.loss))))

;;; The same again

(setv DROPPING {"dropout" 0.2})

(defn [(pytest.mark.parametrize "options" [{} DROPPING {"draws" "published"}
                                           {"stage" "gpt"  #** DROPPING}
                                           {"gradient_accumulation_steps" 3}])]
  test-same-seed-same-bits [ab options]
  (setv runs (lfor  _ (range 2)  (small ab #** options)))
  (for [run runs]
    (torch.rand 3)                     ; whatever others draw in between
    (go run))
  (same-state #* runs))

(defn test-every-purpose-and-every-step-draws-its-own [ab]
  (assert (!= (named-seed 1 "batches") (named-seed 1 "evaluation")))
  (setv run (small ab #** DROPPING)
        masks [])
  (for [_ (range 2)]
    (for [worker [0 1]]
      (.append masks (.tolist (torch.rand 8 :generator (.chance run.workers worker)))))
    (steps run 1))
  (assert (= 4 (len (set (map str masks))))))

(defn test-a-text-is-a-name-a-path-or-a-corpus [ab]
  (setv runs (lfor  text [ab (Path ab) (read-corpus ab)]  (small text)))
  (for [run runs]
    (steps run 1)
    (same-state run (get runs 0))))

(defn test-another-seed-another-run [ab]
  (setv [a b] (lfor  seed [1 2]  (small ab :seed seed)))
  (assert (not (torch.equal (next (.parameters a.model)) (next (.parameters b.model))))))

(defn test-evaluating-more-often-changes-nothing-trained [ab]
  (setv rare  (small ab #** DROPPING  :eval-interval 60)
        often (small ab #** DROPPING  :eval-interval 7  :eval-iters 5))
  (go rare)
  (go often)
  (for [[name w] (.items (.state-dict rare.model))]
    (assert (torch.equal w (get (.state-dict often.model) name)) name)))

(defn test-a-run-leaves-the-default-generator-alone [ab]
  (torch.manual-seed 5)
  (setv expected (torch.rand 4))
  (torch.manual-seed 5)
  (setv run (small ab #** DROPPING))
  (steps run 5)
  (evaluate run)
  (assert (torch.equal expected (torch.rand 4))))

(defn test-steps-in-parts [ab]
  (setv whole (small ab #** DROPPING)  parts (small ab #** DROPPING))
  (steps whole 30)
  (for [n [1 2 20 7]]
    (steps parts n))
  (same-state whole parts))

(defn test-a-fork-goes-its-own-way [ab]
  (setv run (small ab #** DROPPING))
  (steps run 20)
  (setv other (fork run)  third (fork run))
  (steps other 10)
  (same-state run third)               ; what OTHER did has not touched RUN
  (steps run 10)
  (same-state run other))

(defn test-several-batches-act-as-one [ab]
  "The same windows in one batch or in three lead to the same weights, but for rounding."
  (setv one   (small ab :batch-size 24)
        three (small ab :batch-size 8 :gradient-accumulation-steps 3))
  (steps one 5)
  (steps three 5)
  (for [[a b] (zip (.parameters one.model) (.parameters three.model))]
    (torch.testing.assert-close a b :atol 1e-4 :rtol 1e-3)))

(defn [pytest.fixture] prompt []
  "Ctrl-C interrupts, as at a prompt; a shell's background jobs begin deaf to it."
  (setv before (signal.signal signal.SIGINT signal.default-int-handler))
  (yield)
  (signal.signal signal.SIGINT before))

(defn [(pytest.mark.parametrize "stage" ["fast" "gpt"])]
    test-ctrl-c-lets-a-step-be-finished [ab prompt stage]
  "In a REPL, and it is as if nobody had."
  (setv [run other] (lfor  _ "ab"  (small ab :stage stage))
        step        run.train-step)
  (defn interrupted [#* batches]
    (signal.raise-signal signal.SIGINT)
    (step #* batches))
  (setv run.train-step interrupted)
  (for [taken [1 2]]
    (with [_ (pytest.raises KeyboardInterrupt)]
      (steps run 3))
    (assert (= [run.step run.tokens] [taken (* taken 8 run.config.block-size)])))
  (assert (is (signal.getsignal signal.SIGINT) signal.default-int-handler))
  (setv run.train-step step)
  (steps run 2)
  (steps other 4)
  (same-state run other))

(defn test-a-second-ctrl-c-interrupts-at-once [ab prompt]
  (setv run (small ab))
  (defn interrupted [#* batches]
    (signal.raise-signal signal.SIGINT)
    (signal.raise-signal signal.SIGINT)
    (assert False "the step goes on"))
  (setv run.train-step interrupted)
  (with [_ (pytest.raises KeyboardInterrupt)]
    (steps run 1))
  (assert (= run.step 0))
  (assert (is (signal.getsignal signal.SIGINT) signal.default-int-handler)))

(defn test-who-sees-to-ctrl-c-is-left-to-it [ab]
  (setv asked []
        own   (fn [number frame] (.append asked number))
        run   (small ab)
        step  run.train-step
        before (signal.signal signal.SIGINT own))
  (setv run.train-step (fn [#* batches]
                         (signal.raise-signal signal.SIGINT)
                         (step #* batches)))
  (try
    (steps run 2)
    (finally (signal.signal signal.SIGINT before)))
  (assert (= [2 [signal.SIGINT signal.SIGINT]] [run.step asked])))

;;; To the disk and back

(defn [(pytest.mark.parametrize "options" [{} DROPPING {"draws" "published"}])]
  test-resume-gives-what-the-uninterrupted-run-gives [ab tmp-path options]
  (setv whole (small ab #** options))
  (go whole)
  (setv cut-short (begin (small ab :folder tmp-path #** options)))
  (judge cut-short)
  (steps cut-short 20)
  (judge cut-short)
  (steps cut-short 13)                 ; between two evaluations
  (save cut-short)
  (setv resumed (resume-run ab :folder tmp-path))
  (same-state cut-short resumed)
  (go resumed)
  (same-state whole resumed)
  (setv saved (. (open-model (/ tmp-path "last.safetensors")) model))
  (for [[name w] (.items (.state-dict saved))]
    (assert (torch.equal w (get (.state-dict whole.model) name)))))

(defn metrics [folder]
  (lfor  line (.splitlines (.read-text (/ folder "metrics.jsonl")))  (json.loads line)))

(defn test-a-row-of-metrics [ab tmp-path]
  (setv run (begin (small ab :gradient-accumulation-steps 3 :eval-iters "all" :folder tmp-path)))
  (steps run 2)
  (setv row (evaluate run))
  (assert (= (get row "tokens") (* 2 3 8 16)))
  (assert (= (get row "val_error") 0.0))
  (assert (= (get row "lr") (learning-rate-at run.train 2)))
  (save run)
  (assert (= run.seconds (. (resume-run ab :folder tmp-path) seconds))))

(defn test-metrics-tell-each-evaluation-once [ab tmp-path]
  (setv run (begin (small ab :folder tmp-path)))
  (judge run)
  (steps run 20)
  (save run)                           ; killed here: the next evaluation is written, but not kept
  (judge run)
  (with [file (open (/ tmp-path "metrics.jsonl") "a")]
    (.write file "{\"event\": \"ev"))
  (os.replace (/ tmp-path "last.safetensors") (/ tmp-path "later"))
  (setv early (begin (small ab :folder (/ tmp-path "early"))))
  (judge early)
  (steps early 20)
  (save early)
  (os.replace (/ tmp-path "early" "last.safetensors") (/ tmp-path "last.safetensors"))
  (go (resume-run ab :folder tmp-path))
  (setv evaluations (lfor  row (metrics tmp-path)  :if (= (get row "event") "eval")  row))
  (assert (= (lfor  row evaluations  (get row "step")) [0 20 40 60]))
  (assert (= (set (get evaluations 0)) #{"event" "step" "train_loss" "val_loss" "val_error" "lr"
                                         "tokens" "seconds" "eval_seconds"})))

(defn test-what-a-run-came-to-stays-until-it-goes-on [ab tmp-path]
  (defn ends []
    (lfor  row (metrics tmp-path)  :if (= (get row "event") "end")  row))
  (go (begin (small ab :folder tmp-path)))
  (setv [end] (ends))
  (assert (get end "tokens_per_second"))
  (go (resume-run ab :folder tmp-path))
  (assert (= [end] (ends)))
  (go (resume-run ab :folder tmp-path :max-iters 70))
  (assert (= [70] (lfor  row (ends)  (get row "step")))))

(defn test-how-a-run-began-stays [ab tmp-path]
  "Also if it was driven by hand, and nobody judged it."
  (setv run (begin (small ab :folder tmp-path)))
  (steps run 20)
  (save run)
  (go (resume-run ab :folder tmp-path))
  (assert (= ["start" "eval"] (lfor  row (cut (metrics tmp-path) 2)  (get row "event")))))

(defn start-training [text folder #* options]
  "A training process in FOLDER."
  (subprocess.Popen [sys.executable "-m" "nanogpt_hy" "train" text "--out" (str folder)
                     "--preset" "ab" "--n-layer" "1" "--n-embd" "8" "--batch-size" "4"
                     "--eval-iters" "1" "--device" "cpu" #* options]
                    :stdout subprocess.DEVNULL :stderr subprocess.PIPE :text True))

(defn wait-for [what process]
  "Wait until the function WHAT is true; PROCESS must not end meanwhile."
  (for [_ (range 600)]
    (when (what)
      (return))
    (assert (is (.poll process) None) (.read process.stderr))
    (time.sleep 0.1))
  (raise (TimeoutError)))

(defn test-kill-9-loses-nothing-that-was-saved [ab tmp-path]
  "Killed in the middle, more than once, and resumed: the same bits as the uninterrupted run."
  (setv options ["--max-iters" "400" "--eval-interval" "20" "--dropout" "0.1"]
        whole (start-training ab (/ tmp-path "whole") #* options)
        folder (/ tmp-path "killed")
        resume [])
  (for [evaluations [3 8 14]]
    (setv process (start-training ab folder #* options #* resume))
    (wait-for (fn [] (and (.exists (/ folder "last.safetensors"))
                          (> (len (.splitlines (.read-text (/ folder "metrics.jsonl"))))
                             evaluations)))
              process)
    (time.sleep (* 0.01 evaluations))
    (.kill process)
    (.wait process)
    (load-checkpoint (/ folder "last.safetensors"))
    (load-checkpoint (/ folder "best.safetensors"))
    (setv resume ["--resume"]))
  (assert (= 0 (.wait whole)) (.read whole.stderr))
  (setv last-process (start-training ab folder #* options "--resume"))
  (assert (= 0 (.wait last-process)) (.read last-process.stderr))
  (setv [expected meta] (load-checkpoint (/ tmp-path "whole" "last.safetensors"))
        [tensors _] (load-checkpoint (/ folder "last.safetensors")))
  (assert (= (get meta "step") 400))
  (assert (= (set expected) (set tensors)))
  (for [[name tensor] (.items expected)]
    (assert (torch.equal tensor (get tensors name)) name)))

(defn [(pytest.mark.parametrize ["name" "code"] [["SIGINT" 130] ["SIGTERM" 143]])]
  test-a-signal-saves-first [ab tmp-path name code]
  (setv process (start-training ab (/ tmp-path "run") "--max-iters" "1000000"))
  (setv last-file (/ tmp-path "run" "last.safetensors"))
  (wait-for (fn [] (and (.exists last-file) (get (read-meta last-file) "step"))) process)
  (.send-signal process (getattr signal name))
  (setv [_ said] (.communicate process :timeout 60)
        meta     (read-meta last-file)
        command (.strip (get (.splitlines said) -1)))
  (assert (= process.returncode code))
  (assert (in f"saved at step {(get meta "step") :,}" said))
  (assert (= command f"nanogpt-hy train {ab} --out {tmp-path}/run --resume")))

;;; When it goes wrong, and when it is enough

(defn test-another-thread-can-train-too [ab]
  (setv run (small ab :max-iters 2))
  (with [pool (ThreadPoolExecutor 1)]
    (assert (= (.result (pool.submit go run)) "all steps are done")))
  (assert (= run.step 2)))

(defn test-a-loss-that-is-not-finite-stops-the-run [ab tmp-path]
  (setv run (begin (small ab :folder tmp-path)))
  (judge run)
  (steps run 20)
  (judge run)
  (setv kept (.read-bytes (/ tmp-path "last.safetensors")))
  (with [_ (torch.no-grad)]
    (.fill_ (next (.parameters run.model)) inf))
  (with [_ (pytest.raises WorkError :match "the loss of step 20 is nan: .* of step 20")]
    (go run))
  (assert (= kept (.read-bytes (/ tmp-path "last.safetensors"))))
  (assert (open-model tmp-path)))

(defn test-a-validation-loss-that-is-not-finite [ab tmp-path]
  (setv run (begin (small ab :folder tmp-path)))
  (with [_ (torch.no-grad)]
    (.fill_ (next (.parameters run.model)) inf))
  (with [_ (pytest.raises WorkError :match "validation loss at step 0 is nan")]
    (judge run))
  (assert (not (.exists (/ tmp-path "last.safetensors")))))

(defn test-the-best-weights-stay [ab tmp-path]
  (setv run (begin (small ab :folder tmp-path)))
  (judge run)
  (setv best     (/ tmp-path "best.safetensors")
        kept     (.read-bytes best)
        run.best {"val_loss" 0.0  "step" 0})       ; there will be no better one
  (steps run 1)
  (judge run)
  (assert (= kept (.read-bytes best))))

(defn test-patience [ab]
  (setv run (small ab :max-iters 1000 :eval-interval 5 :eval-iters "all" :patience 2
                   :learning-rate 1e-12))
  (setv run.best {"val_loss" 0.0  "step" 0})       ; there will be no better one
  (assert (= (go run) "no better validation loss in 2 evaluations"))
  (assert (= run.step 5)))

(defn test-fine-tuning-starts-from-the-weights [ab tmp-path]
  (setv first-run (begin (small ab :folder tmp-path)))
  (go first-run)
  (setv other (/ tmp-path "b.txt"))
  (.write-text other (* "bbbb\nbaaa\n" 200))
  (setv run (tuned-run (str other) tmp-path :device "cpu" :max-iters 10 :dropout 0.1))
  (assert (= run.config (replace first-run.config :dropout 0.1)))
  (for [[a b] (zip (.parameters run.model) (.parameters first-run.model))]
    (assert (torch.equal a b)))
  (setv before (get (evaluate run) "val_loss"))
  (steps run 10)
  (assert (< (get (evaluate run) "val_loss") before)))

;;; The parts

(defn test-a-narrow-model-is-computed-by-one-thread [ab]
  (setv run (small ab)  before (torch.get-num-threads))
  (with [_ (at-work run)]
    (assert (= (torch.get-num-threads) 1)))
  (assert (= (torch.get-num-threads) before)))

(defn test-up-to-64-channels-are-narrow []
  (with [_ (with-threads 2)]
    (assert (= [1 2] (lfor  n-embd [64 65]
                            (threads-for (GPTConfig :vocab-size 3 :n-embd n-embd :n-head 1)))))))

(defn test-after-an-interruption-torch-has-its-threads-again []
  (setv before (torch.get-num-threads))
  (with [_ (pytest.raises KeyboardInterrupt)
         _ (with-threads (+ before 1))]
    (raise KeyboardInterrupt))
  (assert (= before (torch.get-num-threads))))

(defn test-the-learning-rate-goes-nanogpts-way []
  "nanoGPT's formula (train.py, get_lr): (it + 1)/(warmup + 1) of the rate, then a cosine."
  (setv train (TrainConfig #** (dfor  [k v] (.items (preset "shakespeare-cpu"))
                                      :if (hasattr TrainConfig k)  k v))
        at (fn [step] (learning-rate-at train step)))
  (assert (= (at 0) (pytest.approx (/ 1e-3 101))))
  (assert (= (at 100) (pytest.approx 1e-3)))
  (assert (= (at 1050) (pytest.approx (/ (+ 1e-3 1e-4) 2))))
  (assert (= (at 2000) (pytest.approx 1e-4)))
  (assert (= (learning-rate-at (replace train :lr-decay-iters 0) 1999) 1e-3))
  (assert (= (learning-rate-at (TrainConfig :max-iters 100) 100) (pytest.approx 1e-4))))

(defn test-what-decays [ab]
  (for [[decay shares] [["matrices" [0.1 0.0]] ["all" [0.1]]]]
    (setv run (small ab :decay decay))
    (assert (= shares (lfor  g (groups-of run.model run.train)  (get g "weight_decay"))))))

(defn test-a-step-has-its-rate-and-its-gradient-cut [ab]
  (setv run (small ab :grad-clip 1e-3))
  (steps run 1)
  (setv adamw run.optimizer.adamw)
  (assert (= (get adamw.param-groups 0 "lr") (learning-rate-at run.train 0)))
  (assert (< (.item (torch.linalg.vector-norm adamw.gradients)) 1.001e-3)))

(defn test-published-dropout-is-torchs-own [ab]
  (assert (is None (. (small ab :draws "published" #** DROPPING) workers)))
  (assert (. (small ab #** DROPPING) workers)))

(defn test-deterministic-algorithms-only-if-asked [ab]
  (for [wanted [True False]]
    (with [_ (at-work (small ab :deterministic wanted))]
      (assert (= wanted (torch.are-deterministic-algorithms-enabled))))
    (assert (not (torch.are-deterministic-algorithms-enabled)))))

(defn [(pytest.mark.parametrize #("on" "warns") [#(False False) #(True False) #(True True)])]
    test-after-an-interruption-torch-is-as-deterministic-as-before [on warns]
  (defn now []
    [(torch.are-deterministic-algorithms-enabled)
     (torch.is-deterministic-algorithms-warn-only-enabled)])
  (torch.use-deterministic-algorithms on :warn-only warns)
  (try
    (with [_ (pytest.raises KeyboardInterrupt)
           _ (deterministic)]
      (assert (= [True False] (now)))
      (raise KeyboardInterrupt))
    (assert (= [on warns] (now)))
    (finally (torch.use-deterministic-algorithms False))))

(defn test-cublas-is-set-to-give-the-same-bits []
  (assert (in (get os.environ "CUBLAS_WORKSPACE_CONFIG") [":4096:8" ":16:8"])))

(defn test-every-validation-token-is-judged-once [ab]
  (setv run (small ab)  ids run.corpus.val)
  (for [block-size [8 9 16 50 899]]
    (setv targets (torch.cat (lfor  [_ y] (all-of run.corpus ids block-size)  (.flatten y))))
    (assert (torch.equal targets (if (>= block-size 9) ids (cut ids 1 None))))))

(defn test-every-token-but-the-first-is-a-target-once []
  (setv ids (torch.arange 30))
  (for [block-size [1 7 28 29 30 31 64]]
    (assert (torch.equal (torch.cat (lfor  [_ y] (whole-batches ids :block-size block-size)
                                           (.flatten y)))
                         (cut ids 1 None)))))

(defn test-one-window-in-every-so-many []
  (setv firsts (lfor  [x _] (whole-batches (torch.arange 30) :block-size 4 :every 3)
                      row x
                      (.item (get row 0))))
  (assert (= firsts [0 16 24 28])))

(defn test-windows-are-judged-from-all-places-of-a-line []
  "Also where one line in so many would begin each of them."
  (setv starts (lfor  [x _] (whole-batches (torch.arange 657) :block-size 8 :every 9)
                      row x
                      (.item (get row 0))))
  (assert (= (len starts) 10))
  (assert (= (sfor  s starts  (% s 9)) (set (range 9)))))

(defn test-every-token-counts-alike []
  "Also those of the last window, which is shorter."
  (setv model (nn.Embedding 3 3)
        ids   (torch.randint 3 #(30))
        [loss _] (mean-loss model (whole-batches ids :block-size 8))
        logits   (model (cut ids -1)))
  (assert (= loss (pytest.approx (.item (F.cross-entropy logits (cut ids 1 None)))))))

(defn test-nothing-drops-out-while-judged []
  (setv model (nn.Sequential (nn.Embedding 3 3) (nn.Dropout 0.5))
        ids   (torch.randint 3 #(4 5))
        [loss _] (mean-loss model [[ids ids]])
        logits   ((get model 0) ids))
  (assert model.training)
  (assert (= loss (pytest.approx (.item (cross-entropy logits ids))))))

(defn test-the-mean-loss-and-its-error-are-the-textbooks []
  "By hand, from a model that gives every token another chance."
  (defclass Fixed [nn.Module]
    (defn forward [self ids]
      (.expand (torch.tensor [0.0 1.0 2.0]) #(#* ids.shape 3))))
  (setv y     (torch.tensor [[0 0] [1 2] [2 2] [0 1]])
        worst (log (sum (map exp [0 1 2])))
        each  (lfor  row (.tolist y)  (fmean (gfor  target row  (- worst target)))))
  (for [size [1 2 4]]
    (setv [loss error] (mean-loss (Fixed) (zip (.split y size) (.split y size))))
    (assert (= loss (pytest.approx (fmean each))))
    (assert (= error (pytest.approx (/ (stdev each) 2)))))
  (for [[rows expected] [[1 0.0] [2 (/ (stdev (cut each 2)) (sqrt 2))]]]
    (setv [_ error] (mean-loss (Fixed) [[(cut y rows) (cut y rows)]]))
    (assert (= error (pytest.approx expected)))))

(defn test-an-apple-gpu-adds-up-without-float64 []
  (assert (= [torch.float32 torch.float64 torch.float64]
             (lfor  name ["mps" "cuda" "cpu"]  (finest (torch.device name))))))

(defn test-an-interrupted-evaluation-leaves-all-as-it-was []
  (setv model (nn.Sequential (nn.Embedding 3 3) (nn.Dropout)))
  (.eval (get model 0))
  (defn batches []
    (assert (not model.training))
    (raise KeyboardInterrupt)
    (yield))
  (with [_ (pytest.raises KeyboardInterrupt)]
    (mean-loss model (batches)))
  (assert (= (lfor  part (.modules model)  part.training) [True False True])))

(defn test-how-much-is-evaluated [ab]
  "Everything as long as that is a quarter of the training in between, or less: three times as dear
  a token, of both parts."
  (setv most (// (* 3 8 16 20) 8))     ; batch size, block size, steps between
  (for [[tokens expected] [[most "all"] [(+ most 1) 200]]]
    (setv run (small ab :eval-iters "auto" :n-layer 1)
          run.corpus (replace run.corpus :val (torch.zeros tokens :dtype torch.long)))
    (assert (= (eval-iters run) expected)))
  (setv run (small ab :eval-iters "all"))
  (for [part [run.corpus.train run.corpus.val]]
    (assert (= (len run.corpus.val) (sum (gfor  [_ y] (batches-of run part)  (.numel y)))))))

(defn test-line-by-line-the-newline-before-comes-first [ab]
  (setv run (small ab)
        [x y] (next (all-of run.corpus run.corpus.val 16))
        text (.decode run.corpus.tokenizer (.tolist (get x 3)))
        next-text (.decode run.corpus.tokenizer (.tolist (get y 3))))
  (assert (= (get text 0) (get next-text -1) "\n"))
  (assert (= (cut text 1 None) (cut next-text -1)))
  (assert (= (loss-floor run.corpus 16) (floor (ab-chain)))))

(defn test-floors-of-lines-windows-and-draws [ab]
  (setv corpus (read-corpus ab)
        chain  (ab-chain))
  (assert (by-line corpus 9))
  (assert (not (by-line corpus 8)))
  (assert (= (loss-floor corpus 9) (floor chain)))
  (assert (= (loss-floor corpus 9 :drawn True) (window-floor chain 9)))
  (assert (= (loss-floor corpus 8) (window-floor chain 8)))
  (for [[drawn here] [[False (floor-here corpus 9)] [True None]]]    ; which goes by lines
    (assert (= here (get (yardsticks corpus 9 :drawn drawn) "floor here")))))

(defn test-the-split-falls-between-lines [ab]
  (setv corpus (read-corpus ab)
        lines  (.splitlines (.read-text (Path ab))))
  (assert (= (len corpus.train) (* 9 1800)))
  (assert (= (len corpus.val) (* 9 200)))
  (assert (= corpus.starts (Counter (gfor  line (cut lines 1800)  (get line 0))))))

(defn test-a-part-too-short-for-a-target [ab]
  (setv corpus (replace (read-corpus ab) :val (torch.zeros 8 :dtype torch.long)))
  (check-block-size corpus 7)
  (with [_ (pytest.raises RequestError :match "has 8 tokens.*use --block-size 7")]
    (check-block-size corpus 8)))

;;; What it comes to

(defn [pytest.mark.slow] test-the-preset-ab-comes-near-the-floor [root tmp-path]
  "In under a minute, within 0.02 nats of what is left to chance; lines are seen from their start."
  (setv started (time.perf-counter)
        run (new-run (str (/ root "data" "ab.txt")) :device "cpu"))
  (go run)
  (assert (< (- (time.perf-counter) started) 60))
  (setv least (loss-floor run.corpus run.config.block-size))
  (assert (= least (floor (ab-chain))))
  (assert (< (get run.best "val_loss") (+ least 0.02)))
  (setv here (floor-here run.corpus run.config.block-size))
  (assert (< here (get run.best "val_loss") (+ here 0.01))))

(defn [(pytest.mark.parametrize #("tokens" "name") [#(8 "ab") #(9 "shakespeare-cpu")])]
      test-up-to-eight-tokens-are-a-toy [tokens name tmp-path]
  (setv path (/ tmp-path "t.txt"))
  (.write-text path (* (cut "abcdefghi" tokens) 30))
  (assert (= name (get (chosen-preset (read-corpus path) None {"device" "cpu"}) 0))))

(defn [(pytest.mark.parametrize #("able" "wide" "how" "expected")
         [#(True  128 {}                     torch.bfloat16)
          #(True  127 {}                     torch.float32)
          #(False 512 {}                     torch.float32)
          #(True  255 {"stage" "gpt"}        torch.float32)
          #(True  256 {"stage" "gpt"}        torch.bfloat16)
          #(True  512 {"draws" "published"}  torch.float32)])]
      test-which-precision-auto-takes-on-a-cpu [able wide how expected monkeypatch]
  (.setattr monkeypatch device "multiplies_bfloat16" (fn [] able))
  (setv config (GPTConfig :vocab-size 3 :n-embd wide :n-head 1))
  (defn chosen [name]
    (get (choose-dtype name (torch.device "cpu") config #** how) 0))
  (assert (is (chosen "auto") expected))
  (assert (is (chosen "float32") torch.float32))
  (assert (is (chosen "bfloat16") torch.bfloat16)))

(defn test-each-seed-and-each-purpose-has-draws-of-its-own [ab]
  (assert (= 4 (len (sfor  seed [1 2]  name ["batches" "evaluation"]  (named-seed seed name)))))
  (setv [a b] (lfor  seed [1 2]
                (get (fresh-batches (new-run ab :preset-name "ab" :n-layer 1 :n-embd 8
                                             :device "cpu" :seed seed))
                     0 0)))
  (assert (not (torch.equal a b))))

(defn test-the-defaults-are-nanogpts []
  "config/train_shakespeare_char.py"
  (setv t (TrainConfig))
  (assert (= [t.beta1 t.beta2 t.weight-decay t.grad-clip t.learning-rate]
             [0.9 0.99 0.1 1.0 1e-3])))

(defn test-tuning-drops-out-as-its-own-preset-says [tmp-path ab]
  (setv trained (small-run tmp-path)
        tuned (fn [#** how] (. (tuned-run ab trained :device "cpu" #** how) config)))
  (assert (= (. (tuned :preset-name "shakespeare-gpu") dropout) 0.2))
  (assert (= (. (tuned :preset-name "shakespeare-gpu") block-size) trained.config.block-size))
  (assert (= (. (tuned :preset-name "shakespeare-gpu" :dropout 0.3) dropout) 0.3))
  (assert (= (. (tuned :preset-name "ab") dropout) 0.0)))

(defn test-a-run-under-way-has-an-optimizers-memory [ab]
  (setv run (new-run ab :preset-name "ab" :n-layer 1 :n-embd 8 :device "cpu"))
  (check-moments run {} 0)
  (with [_ (pytest.raises ValueError :match "memory is missing")]
    (check-moments run {} 3)))

(defn [(pytest.mark.parametrize #("cuda" "mps" "expected")
         [#(True True "cuda") #(False True "mps") #(False False "cpu")])]
    test-which-device-auto-takes [cuda mps expected monkeypatch]
  (.setattr monkeypatch torch.cuda "is_available" (fn [] cuda))
  (.setattr monkeypatch torch.cuda "get_device_name" (fn [] "a GPU"))
  (.setattr monkeypatch torch.backends.mps "is_available" (fn [] mps))
  (assert (= (torch.device expected) (get (choose-device "auto") 0))))

(defn test-an-apple-gpu-computes-in-float32-unless-asked []
  (setv mps (torch.device "mps"))
  (assert (is torch.float32 (get (choose-dtype "auto" mps None) 0)))
  (assert (is torch.bfloat16 (get (choose-dtype "bfloat16" mps None) 0)))
  (with [_ (pytest.raises RequestError :match "float16 needs a CUDA GPU, not mps")]
    (choose-dtype "float16" mps None)))

(defn test-what-products-are-computed-in []
  (for [dtype [torch.bfloat16 torch.float16 torch.float32]]
    (with [_ (precision (torch.device "cpu") dtype)]
      (assert (is dtype (. (F.linear (torch.ones 1 2) (torch.ones 3 2)) dtype))))))
