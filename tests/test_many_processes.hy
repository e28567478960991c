"Many processes: they take the steps that one would take, one writes and speaks for all, and the end
of one is the end of all. All on one machine, on the CPU, and over its loopback interface."

(import  contextlib [contextmanager]
         json
         os
         pathlib [Path]
         shlex
         signal
         socket
         subprocess
         sys
         time
         types [SimpleNamespace]
         pytest
         torch
         torch.distributed :as dist
         members
         nanogpt-hy.config [TrainConfig]
         nanogpt-hy.errors [RequestError WorkError]
         nanogpt-hy.lab.checkpoints.checkpoint [load-checkpoint read-meta]
         nanogpt-hy.lab.checkpoints.trained [open-model]
         nanogpt-hy.lab.data.chain-files [write-data]
         nanogpt-hy.lab.data.markov [ab-chain]
         nanogpt-hy.lab.training.launch [again ALONE Group launched voice]
         nanogpt-hy.lab.training.parallel [own-device]
         nanogpt-hy.lab.training.processes :as processes
         nanogpt-hy.lab.training.processes [check-shares fingerprint own-rows Pauses
                                           unless-one-dies way-on]
         nanogpt-hy.lab.training.session [new-run]
         nanogpt-hy.ladder [STAGES])

(setv TESTS     (. (Path __file__) (resolve) parent)
      LOOPBACK  {"MASTER_ADDR" "127.0.0.1"  "OMP_NUM_THREADS" "1"
                 "PYTHONPATH" (.join os.pathsep [(str TESTS) (os.environ.get "PYTHONPATH" "")])
                 #** (if (= sys.platform "linux") {"GLOO_SOCKET_IFNAME" "lo"} {})}
      TRAIN     ["--preset" "ab" "--n-layer" "1" "--n-embd" "8" "--n-head" "2"
                 "--eval-interval" "20" "--eval-iters" "2" "--compile" "off" "--device" "cpu"])

;;; Processes that meet, and are gone when a test is over

(defn [contextmanager] listening []
  "A port of the loopback interface, and there a store at which processes can meet, as torchrun's."
  (with [server (socket.socket)]
    (.bind server #("127.0.0.1" 0))
    (.listen server)
    (setv port (get (.getsockname server) 1)
          store (dist.TCPStore "127.0.0.1" port :is-master True :wait-for-workers False
                               :master-listen-fd (.detach server)))
    (yield port)
    (del store)))

(defn [contextmanager] started [size #* command]
  "Within, SIZE processes that know of each other run COMMAND."
  (with [port (listening)]
    (setv those (lfor  rank (range size)
                  (subprocess.Popen (list (map str command)) :text True :stderr subprocess.PIPE
                    :stdout subprocess.PIPE
                    :env {#** os.environ  #** LOOPBACK  "MASTER_PORT" (str port)
                          "RANK" (str rank)  "LOCAL_RANK" (str rank)  "WORLD_SIZE" (str size)
                          "LOCAL_WORLD_SIZE" (str size)
                          "TORCHELASTIC_USE_AGENT_STORE" "True"})))
    (try
      (yield those)
      (finally
        (for [p those]
          (.kill p)
          (.communicate p))))))

(defn company [size #* command]
  "Run COMMAND in SIZE processes that know of each other; -> [CompletedProcess]."
  (with [those (started size #* command)]
    (lfor  p those  :setv [out err] (.communicate p :timeout 600)
           (subprocess.CompletedProcess p.args p.returncode out err))))

(defn member [name #* words]
  "The command that calls a function of members.hy."
  [sys.executable "-c" f"import sys, hy, members; members.{name}(*sys.argv[1:])" #* words])

(defn acted [size text folder runs acts]
  "-> what each of SIZE processes found while it trained, with the others, as ACTS say."
  (setv out (/ folder f"together-{size}"))
  (.mkdir out)
  (.write-text (/ out "job") (json.dumps {"text" text  "runs" (str runs)  "acts" acts}))
  (setv done (company size #* (member "acts" (/ out "job") out)))
  (assert (= (lfor  p done  p.returncode) (* [0] size)) (.join "\n" (gfor  p done  p.stderr)))
  (lfor  rank (range size)  (json.loads (.read-text (/ out f"{rank}.json")))))

(defn [(pytest.fixture :scope "module")] ab [tmp-path-factory]
  "A file of a/b lines."
  (setv path (/ (.mktemp tmp-path-factory "data") "ab.txt"))
  (write-data path (ab-chain) 300 :seed 1)
  (str path))

;;; The same steps. Whatever is compared is done by one process, by two and by three, each of which
;;; does all of it at once, for to start them takes longer than to train.

(setv CASES [{"options" {}}
             {"options" {"gradient_accumulation_steps" 2  "eval_iters" 3}}
             {"options" {"block_size" 5  "patience" 5}}
             {"options" {"shard" True  "gradient_accumulation_steps" 2  "eval_iters" 3}}
             {"options" {"shard" True}  "stage" "gpt"}
             {"options" {"dropout" 0.3}}]
      ;; One process computes another gradient when compiled, so it is compared uncompiled.
      COMPILED-CASES (lfor  shard [True False]
                       {"options" {"compile" "on"  "shard" shard  "gradient_accumulation_steps" 2
                                   "n_layer" 1  "max_iters" 4  "eval_interval" 4}})
      HALF-CASES (lfor  shard [True False]
                   {"options" {"dtype" "bfloat16"  "shard" shard  "gradient_accumulation_steps" 2
                               "max_iters" 4  "eval_interval" 4}})
      STAGE-CASES (lfor  name STAGES  {"options" {"max_iters" 2  "eval_interval" 2}  "stage" name}))

(defn [(pytest.fixture :scope "module")] story [ab tmp-path-factory]
  "CASES trained by one process, two and three, the other cases by one and two; and a run begun by
  one, gone on with by three, each with a part of the model, then by two, then by one again."
  (setv folder (.mktemp tmp-path-factory "story")
        runs (/ folder "runs")
        run (str (/ runs "relay"))
        last-file (/ runs "relay" "last.safetensors")
        all [#* CASES #* STAGE-CASES #* COMPILED-CASES #* HALF-CASES]
        one (lfor  case all
              (members.trained ab (| (get case "options") {"compile" "off"})
                               :stage (.get case "stage")))
        kept {})
  (members.trained ab {} :folder run)
  (for [[size options acts] [[3 {"max_iters" 40  "shard" True} CASES]
                             [2 {"max_iters" 60  "shard" False} all]]]
    (setv (get kept size) (acted size ab folder runs
                                 [#* acts {"options" options  "folder" run  "resume" True}])
          (get kept f"file of {size}") (load-checkpoint last-file)))
  (members.trained ab {"max_iters" 80} :folder run :resume True)
  (members.trained ab {"max_iters" 80} :folder (str (/ runs "whole")))
  {"one" one  "runs" runs  #** kept})

(defn same [found expected [within 1e-5]]
  "Assert that evaluations and loss are the same, but for rounding."
  (for [[a b] (zip (get found "rows") (get expected "rows") :strict True)]
    (assert (= a (pytest.approx b :rel within :abs 1e-6))))
  (assert (= (get found "loss") (pytest.approx (get expected "loss") :rel within))))

(setv slow pytest.mark.slow
      many (pytest.mark.parametrize "size" [2 3])
      steady (lfor  case CASES  :if (not-in "dropout" (get case "options"))  case))

(defn [slow many (pytest.mark.parametrize "case" steady :ids str)]
  test-they-take-the-steps-of-one [story size case]
  (setv i (.index CASES case))
  (for [seen (get story size)]
    (same (get seen "found" i) (get story "one" i))))

(defn [slow (pytest.mark.parametrize "case" COMPILED-CASES :ids str)] test-compiled [story case]
  (setv i (+ (len CASES) (len STAGE-CASES) (.index COMPILED-CASES case)))
  (for [seen (get story 2)]
    (same (get seen "found" i) (get story "one" i))))

(defn [slow (pytest.mark.parametrize "case" HALF-CASES :ids str)]
      test-in-half-precision [story case]
  (setv i (+ (len CASES) (len STAGE-CASES) (len COMPILED-CASES) (.index HALF-CASES case)))
  (for [seen (get story 2)]
    (same (get seen "found" i) (get story "one" i) :within 5e-3)))

(defn [slow (pytest.mark.parametrize "stage" STAGES)] test-every-stage [story stage]
  (setv i (+ (len CASES) (.index (list STAGES) stage)))
  (for [seen (get story 2)]
    (same (get seen "found" i) (get story "one" i))))

(defn [slow many] test-each-drops-out-its-own [story size]
  (setv draws (lfor  seen (get story size)  (get seen "found" (- (len CASES) 1) "draws")))
  (assert (= (get draws 0) (get story "one" (- (len CASES) 1) "draws")))
  (assert (= (len (set (map str draws))) size)))

(defn [slow many] test-all-know-the-same [story size]
  "What they decide by, they have to the last bit alike."
  (for [seen (get story size)]
    (for [[a b] (zip (get seen "found") (get story size 0 "found"))]
      (assert (= (get a "rows") (get b "rows")))
      (assert (= (get a "loss") (get b "loss"))))))

;;; What is saved is what one process would have saved

(defn losses [folder]
  (lfor  line (.splitlines (.read-text (/ folder "metrics.jsonl")))
         :setv row (json.loads line)
         :if (= (get row "event") "eval")
         [(get row "step") (get row "train_loss") (get row "val_loss")]))

(defn [slow] test-a-run-goes-from-hand-to-hand [story]
  (setv relay (losses (/ (get story "runs") "relay"))
        whole (losses (/ (get story "runs") "whole")))
  (assert (= (lfor  [step #* _] relay  step) [0 10 20 30 40 50 60 70 80]))
  (for [[a b] (zip relay whole :strict True)]
    (assert (= a (pytest.approx b :rel 1e-4)))))

(defn [slow many] test-a-checkpoint-has-whole-tensors-under-plain-names [story size]
  (setv [tensors meta] (get story f"file of {size}")
        [expected _] (load-checkpoint (/ (get story "runs") "whole" "last.safetensors")))
  (assert (= (get meta "step") (get {3 40  2 60} size)))
  (assert (= (dfor  [name t] (.items tensors)  name #(t.shape t.dtype))
             (dfor  [name t] (.items expected)  name #(t.shape t.dtype))))
  (assert (open-model (/ (get story "runs") "relay"))))

(defn [slow many] test-only-the-first-writes [story size]
  (setv [first #* others] (lfor  seen (get story size)  (get seen "changed")))
  (assert first)
  (for [changed others]
    (assert (= changed [])))
  (assert (= (sorted (gfor  p (.iterdir (/ (get story "runs") "relay"))  p.name))
             ["best.safetensors" "config.toml" "last.safetensors" "metrics.jsonl"])))

;;; When one of them ends

(defn said [done codes]
  "The one line that processes which end with CODES say between them."
  (assert (= (lfor  p done  p.returncode) codes) done)
  (setv lines (lfor  p done  line (.splitlines p.stderr)  line))
  (assert (= (len lines) 1) lines)
  (get lines 0))

(defn test-who-fails-says-so [ab tmp-path]
  (setv folder (/ tmp-path "run")
        done (company 2 #* (member "fails" "train" ab "--out" (str folder) #* TRAIN))
        errors (lfor  p done  line (.splitlines p.stderr)
                      :if (.startswith line "nanogpt-hy")  line))
  (assert (= (lfor  p done  p.returncode) [1 1]))
  (assert (= (len errors) 1) errors)
  (assert (in "(process 1 of 2): there is not enough memory for a batch of 32 x 16" (get errors 0)))
  (assert (= (get (read-meta (/ folder "last.safetensors")) "step") 20)))

(defn [contextmanager] torchrun [pids #* words]
  "A training by two processes of torchrun, whose numbers are in the files 0 and 1 of PIDS."
  (setv note "echo $$$$ > \"$0/$RANK\"; exec \"$@\""       ; torchrun makes one of two $
        process (subprocess.Popen [sys.executable "-m" "torch.distributed.run" "--standalone"
                                   "--nproc-per-node" "2" "--no-python" "sh" "-c" note (str pids)
                                   sys.executable "-m" "nanogpt_hy" #* words]
                                  :text True :stdout subprocess.PIPE :stderr subprocess.STDOUT
                                  :env {#** os.environ #** LOOPBACK}))
  (try
    (yield process)
    (finally
      (for [path (.glob pids "[01]")]
        (try (os.kill (int (.read-text path)) signal.SIGKILL)
          (except [ProcessLookupError])))
      (.kill process)
      (.communicate process))))

(defn wait-for [what process]
  "Wait until the function WHAT is true; PROCESS must not end meanwhile."
  (for [_ (range 600)]
    (when (what)
      (return))
    (assert (is (.poll process) None) (get (.communicate process) 0))
    (time.sleep 0.1))
  (raise (TimeoutError)))

(defn [slow] test-stopped-then-resumed-then-killed [ab tmp-path]
  "Ctrl-C on torchrun saves and says how to go on; kill -9 of one process ends the others, with one
  line and the checkpoint of the last evaluation."
  (setv folder (/ tmp-path "run")  last-file (/ folder "last.safetensors")
        words ["train" ab "--out" (str folder) #* TRAIN "--max-iters" "1000000"])
  (with [process (torchrun tmp-path #* words)]
    (wait-for (fn [] (.exists last-file)) process)
    (.send-signal process signal.SIGINT)
    (setv [said _] (.communicate process :timeout 40)
          step (get (read-meta last-file) "step")))
  (assert process.returncode)
  (assert (= 1 (.count said f"stopped by SIGINT: saved at step {step :,}.")) said)
  (setv command (next (gfor  line (.splitlines said)  :if (in "--resume" line)  line)))
  (assert (= (shlex.split command)
             ["torchrun" "--standalone" "--nproc-per-node" "2" "-m" "nanogpt_hy" "train" ab
              "--out" (str folder) "--resume"]))
  (.rename folder (/ tmp-path "moved"))            ; what is there now was written by the second one
  (with [process (torchrun tmp-path #* words)]
    (wait-for (fn [] (.exists last-file)) process)
    (os.kill (int (.read-text (/ tmp-path "1"))) signal.SIGKILL)
    (setv [said _] (.communicate process :timeout 40)))
  (assert process.returncode)
  (setv step (get (read-meta last-file) "step")
        lines (lfor  line (.splitlines said)  :if (.startswith line "nanogpt-hy:")  line))
  (assert (= 1 (len lines)) said)
  (for [part ["another of the 2 processes has ended" f"keeps the checkpoint of step {step}"]]
    (assert (in part (get lines 0))))
  (assert (not-in "nanogpt_hy/lab" said))          ; the one traceback is torchrun's own
  (members.trained ab {"max_iters" (+ step 5)} :folder (str folder) :resume True)
  (assert (= (get (read-meta last-file) "step") (+ step 5))))

(defn [slow (pytest.mark.skipif (= os.name "nt") :reason "nothing can be halted there")]
      test-who-is-told-to-stop-and-still-waits-says-so [ab tmp-path]
  "The second process is halted, so the first waits for it where no Python runs."
  (setv folder    (/ tmp-path "run")
        last-file (/ folder "last.safetensors"))
  (with [[first second] (started 2 #* (member "stalls" "train" ab "--out" (str folder) #* TRAIN
                                              "--max-iters" "1000000"))]
    (wait-for (fn [] (.exists last-file)) first)
    (.send-signal second signal.SIGSTOP)
    (time.sleep 0.5)
    (.send-signal first signal.SIGTERM)
    (setv [_ err] (.communicate first :timeout 60)))
  (assert (= first.returncode 1) err)
  (setv [line] (gfor  line (.splitlines err)  :if (.startswith line "nanogpt-hy:")  line))
  (for [part ["told to stop" f"keeps the checkpoint of step {(get (read-meta last-file) "step")}"]]
    (assert (in part line))))

;;; What cannot be

(setv TWO (Group :rank 1 :size 2 :local-rank 1 :local-size 2))

(defn test-a-batch-that-cannot-be-shared [ab tmp-path]
  (setv done (company 2 sys.executable "-m" "nanogpt_hy" "train" ab "--out" (/ tmp-path "run")
                      #* TRAIN "--batch-size" "7")
        line (said done [2 2]))
  (assert (in "--batch-size 7 cannot be shared evenly by 2 processes: use 6 or 8" line))
  (assert (not (.exists (/ tmp-path "run")))))

(defn [(pytest.mark.parametrize #("option" "codes" "words") [
        #(["--seed" "2"]        [2 2] "the 2 processes do not train the same: give each")
        #(["--block-size" "8"]  [2 2] "the 2 processes do not train the same: give each")
        #(["--config" "x.toml"] [1 2] "(process 1 of 2): there is no file x.toml: check")])]
  test-processes-that-were-asked-for-different-things [ab tmp-path option codes words]
  (setv done (company 2 #* (member "differs" "train" ab "--out" (str (/ tmp-path "run")) #* TRAIN
                                   #* option)))
  (assert (in words (said done codes)))
  (assert (not (.exists (/ tmp-path "run")))))

(defn test-other-commands-are-for-one-process [cli]
  (setv of-two {#** LOOPBACK  "RANK" "0"  "LOCAL_RANK" "0"  "WORLD_SIZE" "2"
                "LOCAL_WORLD_SIZE" "2"})
  (for [command ["ladder" "sample" "eval"]]
    (setv done (cli command :env of-two))
    (assert (in f"{command} is done by one process, not by 2: start it without torchrun"
                (said [done] [2]))))
  (setv done (cli "sample" :env {#** of-two  "RANK" "1"  "LOCAL_RANK" "1"}))
  (assert (= #(done.returncode done.stderr) #(2 "")))
  (for [words [["train" "--help"] ["--version"]]]
    (assert (= 0 (. (cli #* words :env of-two) returncode)))))

(defn [(pytest.mark.parametrize #("options" "words") [
        #({"batch_size" 1}     "use 2, or another number")
        #({"batch_size" 5}     "use 4 or 6, or")
        #({"draws" "published"} "use --draws named")])]
  test-shares-that-cannot-be [options words]
  (with [_ (pytest.raises RequestError :match words)]
    (check-shares TWO (TrainConfig #** options)))
  (check-shares ALONE (TrainConfig #** options)))

(defn [(pytest.mark.parametrize "name" ["mps" "cuda:0" "xyz"])] test-devices-that-cannot-be [name]
  (with [_ (pytest.raises RequestError :match f"--device {name} cannot be shared by 2 processes")]
    (own-device TWO name)))

(defn test-each-process-has-a-gpu-or-all-have-none [monkeypatch]
  (.setattr monkeypatch torch.cuda "is_available" (fn [] False))
  (assert (= [(torch.device "cpu") "no CUDA GPU found"] (own-device TWO "auto")))
  (.setattr monkeypatch torch.cuda "is_available" (fn [] True))
  (.setattr monkeypatch torch.cuda "device_count" (fn [] 1))
  (with [_ (pytest.raises RequestError :match "has 1 GPUs, too few for 2 processes")]
    (own-device TWO "auto")))

;;; The parts

(defn test-what-is-left-to-do-when-one-is-gone []
  (setv run (SimpleNamespace :folder "here" :step 3 :evaluated 0))
  (assert (in "here keeps the checkpoint of step 0" (way-on run)))
  (for [[name value] [["evaluated" -1] ["folder" None]]]
    (setv unsaved (SimpleNamespace #** {#** (vars run)  name value}))
    (assert (= "nothing was saved yet, start again" (way-on unsaved))))
  (assert (= "nothing was saved yet, start again" (way-on None))))

(defn test-nccl-gives-its-reason []
  "In the words of torch's C10D_NCCL_CHECK, as users report them."
  (setv said (+ "NCCL error in: /pytorch/torch/csrc/distributed/c10d/NCCLUtils.cpp:77, unhandled "
                "system error (run with NCCL_DEBUG=INFO for details), NCCL version 2.27.5\n…"))
  (with [_ (pytest.raises WorkError :match "\\('NCCL: unhandled system error \\(run with NCCL")
         _ (unless-one-dies TWO)]
    (raise (dist.DistBackendError said))))

(defn test-what-all-have-to-agree-on [ab]
  (setv run  (new-run ab :device "cpu" :n-layer 1)
        mark (fingerprint run))
  (assert (= mark (fingerprint (new-run ab :device "cpu" :n-layer 1))))
  (assert (< mark (** 2 62)))
  (for [[name other] [["step" 1] ["stage" "gpt"] ["dtype" torch.bfloat16]
                      ["device" (torch.device "meta")]]]
    (setv own (getattr run name))
    (setattr run name other)
    (assert (!= mark (fingerprint run)) name)
    (setattr run name own))
  (assert (= mark (fingerprint run))))

(defn test-slow-steps-have-a-pause-each-and-quick-ones-few [monkeypatch]
  (.setattr monkeypatch processes "highest" (fn [numbers] numbers))
  (setv run    (SimpleNamespace :asked None)
        pauses (Pauses (Group :size 2)))
  (for [_ (range 3)]
    (setv pauses.since (- pauses.since 100))
    (assert (.due pauses run 100)))
  (setv quick (lfor  _ (range 7)
                     (do (setv pauses.since (time.perf-counter))
                         (.due pauses run 0))))
  (assert (= quick [True False True False False False True])))     ; at most twice as many steps

(defn test-rows-are-shared-out-once []
  (setv x (torch.arange 24) x (.view x 6 4)
        shares (lfor  rank (range 3)
                      (get (own-rows (Group :rank rank :size 3) [x (+ x 1)]) 0)))
  (assert (torch.equal (torch.cat shares) x)))

(defn test-who-we-are [monkeypatch]
  (for [name ["RANK" "WORLD_SIZE" "LOCAL_RANK" "LOCAL_WORLD_SIZE" "MASTER_ADDR"]]
    (.delenv monkeypatch name :raising False))
  (assert (is (launched) ALONE))
  (setv theirs {"RANK" "5"  "WORLD_SIZE" "8"  "LOCAL_RANK" "1"  "LOCAL_WORLD_SIZE" "4"})
  (for [[name value] (.items theirs)]
    (.setenv monkeypatch name value))
  (assert (is (launched) ALONE))                   ; somebody else's RANK, not torchrun's
  (.setenv monkeypatch "MASTER_ADDR" "127.0.0.1")
  (setv group (launched))
  (assert (= group (Group :rank 5 :size 8 :local-rank 1 :local-size 4)))
  (assert (= (again group ["train"])
             ["torchrun" "--nnodes" "2" "--nproc-per-node" "4" "-m" "nanogpt_hy" "train"]))
  (assert (= (again TWO ["train"])
             ["torchrun" "--standalone" "--nproc-per-node" "2" "-m" "nanogpt_hy" "train"]))
  (assert (is (voice) None))                       ; the first of its machine speaks
  (.setenv monkeypatch "RANK" "4")
  (.setenv monkeypatch "LOCAL_RANK" "0")
  (assert (= (voice) "nanogpt-hy (process 4 of 8)"))
  (.setenv monkeypatch "WORLD_SIZE" "1")
  (assert (is (launched) ALONE))
  (.setenv monkeypatch "WORLD_SIZE" "many")
  (assert (is (launched) ALONE)))
