"scripts/bench: timing on a clock set by hand, contests in a tiny form, and the whole program."

(import  dataclasses [replace]
         functools [partial]
         json
         os
         pathlib [Path]
         subprocess
         sys
         types [SimpleNamespace]
         pytest
         torch
         subjects [small])

(setv SCRIPTS (str (/ (. (Path __file__) (resolve) parent parent) "scripts")))
(sys.path.insert 0 SCRIPTS)

(import  benchmark.bench [Contest open-bench run-process text-path]
         benchmark.checkout [Checkout]
         benchmark.levers [of-sampling of-training TRAINING]
         benchmark.main [main]
         benchmark.report [digits remarks results-of shown shown-ratio shown-time]
         benchmark.sides [as-transformers model-of our-run our-texts]
         benchmark.timing [in-turn pieces-for ratio Side]
         benchmark.workloads [evaluation many-texts one-text past-the-context shape training
                              training-on-gpu Workload WORKLOADS]
         nanogpt-hy.backprop :as backprop
         nanogpt-hy.config [GPTConfig]
         nanogpt-hy.errors [RequestError WorkError]
         nanogpt-hy.lab.data.corpus [read-corpus]
         nanogpt-hy.lab.training.workers :as workers)

(setv TINY (shape 1 2 8 4 :batch-size 2))

;;; Timing

(defclass Clock []
  "Seconds that go by only when somebody works."
  (defn __init__ [self]
    (setv self.now 0.0  self.order []))
  (defn __call__ [self]
    self.now)
  (defn side [self name piece #** how]
    "-> Side: one that takes PIECE seconds a piece, and ten more at first."
    (setv begun [])
    (Side name
          (fn [pieces]
            (.append self.order name)
            (setv self.now (+ self.now (* pieces piece) (if begun 0 10)))
            (.append begun True))
          #** how)))

(defn test-rounds-alternate []
  (setv clock (Clock)
        sides [(clock.side "a" 2 :pieces 1)  (clock.side "b" 1 :pieces 1)])
  (in-turn sides :rounds 3 :seconds 1 :clock clock)
  (assert (= clock.order ["a" "b"  "a" "b"  "b" "a"  "a" "b"])))

(defn test-the-first-run-is-told-and-not-counted []
  (setv clock (Clock)
        [one] (in-turn [(clock.side "a" 0.25 :amount 2)] :rounds 2 :seconds 1 :clock clock))
  (assert (= one.first-run 10.25))
  (assert (= one.pieces 4))
  (assert (= one.seconds [0.125 0.125])))

(defn test-a-whole-run-is-counted-from-its-start []
  (setv clock (Clock)
        [one] (in-turn [(clock.side "a" 3 :pieces 1 :warmed-up False)]
                       :rounds 1 :seconds 1 :clock clock))
  (assert (is one.first-run None))
  (assert (= one.seconds [13])))

(defn [(pytest.mark.parametrize #("piece" "pieces") [#(0.001 1000) #(0.3 3) #(1.0 1) #(50.0 1)])]
      test-pieces-fill-a-round [piece pieces]
  (setv clock (Clock)
        side  (clock.side "a" piece))
  (side.work 1)
  (assert (= (pieces-for side 1.0 clock) pieces)))

(defn test-ratios-are-of-rounds []
  (assert (= (ratio [2 6 4] [1 2 4]) {"median" 2  "min" 1  "max" 3})))

;;; Results

(defn test-a-row-for-each-of-ours-and-each-peer []
  (setv clock   (Clock)
        ours    [(clock.side "ours" 1) (clock.side "ours, window half" 0.5)]
        peers   [(clock.side "x" 2) (clock.side "y" 4)]
        contest (Contest :title "t" :unit "step" :ours ours :peers peers :flops 6.0 :peak 12.0)
        timed   (in-turn [#* ours #* peers] :rounds 2 :seconds 1 :clock clock)
        rows    (results-of "w" contest timed))
  (assert (= (lfor  row rows  [(get row "ours" "name") (get row "peer" "name")
                               (get row "ratio" "median")])
             [["ours" "x" 2] ["ours" "y" 4]
              ["ours, window half" "x" 4] ["ours, window half" "y" 8]]))
  (assert (= (get rows 0 "ours" "flops_utilization") 0.5)))

(defn test-numbers-are-short []
  (assert (= (list (map shown-time [65.3 1 0.012345 0.00000123]))
             ["65.3 s" "1 s" "12.3 ms" "1.23 us"]))
  (assert (= (list (map digits [1234.5 99.96 12.34])) ["1,234" "100" "12.3"]))
  (assert (= (shown-ratio {"median" 2  "min" 1.5  "max" 3}) "2 (1.5-3)"))
  (assert (= (shown-ratio None) "-")))

;;; Contests

(defn [pytest.fixture] bench [tmp-path root monkeypatch]
  "A Bench on lines of a and b, without nanoGPT."
  (monkeypatch.setenv "TINY_SHAKESPEARE" (str (/ root "data" "ab.txt")))
  (open-bench tmp-path None False))

(defn test-all-compute-in-one-precision [bench]
  (setv bench (replace bench :dtype "bfloat16"))
  (assert (is torch.bfloat16 (. (our-run bench TINY) dtype)))
  (with [_ (bench.precision (torch.device "cpu"))]
    (assert (is torch.bfloat16 (. (@ (torch.ones 2 2) (torch.ones 2 2)) dtype))))
  (assert (= "t: a step, bfloat16" (. (training "t" TINY bench) title))))

(defn [(pytest.mark.parametrize "make" [
        (fn [bench] (training "t" TINY bench))
        (fn [bench] (evaluation bench TINY))
        (fn [bench] (one-text bench TINY 3 "t"))
        (fn [bench] (many-texts bench TINY 3 2 "t"))
        (fn [bench] (past-the-context bench TINY 6 "t"))
        (fn [bench] (of-training "t" (| TINY {"dropout" 0.1}) TRAINING bench))
        (fn [bench] (of-sampling "t" TINY 3 bench))])]
      test-every-side-works [bench make]
  (setv contest (make bench)
        names   (lfor  side [#* contest.ours #* contest.peers]  side.name))
  (assert (= (len (set names)) (len names)))
  (assert (all (gfor  side contest.ours  (.startswith side.name "ours"))))
  (assert contest.peers)
  (for [side [#* contest.ours #* contest.peers]]
    (side.work 1)))

(defn test-levers-change-nothing-but-the-time [bench monkeypatch]
  (monkeypatch.setattr backprop "QUERIES" 2)       ; so that there are parts in so small a model
  (monkeypatch.setattr workers "PART" 1)
  (setv contest (of-training "t" TINY TRAINING bench)
        [ours]  contest.ours
        loss    (ours.work 3))
  (for [side contest.peers]
    (torch.testing.assert-close (side.work 3) loss)))

(defn [pytest.mark.cuda] test-every-side-works-on-a-GPU [bench]
  (setv contest (training-on-gpu bench TINY))
  (for [side [#* contest.ours #* contest.peers]]
    (side.work 1)))

(defn test-transformers-says-the-same [bench]
  (setv [model config] (model-of bench TINY "fast")
        ids            (torch.randint config.vocab-size #(2 4)))
  (with [_ (torch.no-grad)]
    (torch.testing.assert-close (. ((as-transformers model config) ids) logits) (model ids))))

(defn test-the-files-are-nanoGPTs [bench]
  (setv bins (/ bench.folder "bins"))
  (for [[name ids] [["train.bin" bench.corpus.train] ["val.bin" bench.corpus.val]]]
    (setv found (torch.frombuffer (bytearray (.read-bytes (/ bins name))) :dtype torch.uint16))
    (assert (torch.equal (.long found) ids)))
  (assert (.is-file (/ bins "meta.pkl"))))

(defn test-without-shakespeare-a-text-is-made-up [tmp-path monkeypatch]
  (monkeypatch.delenv "TINY_SHAKESPEARE" :raising False)
  (monkeypatch.setattr "benchmark.bench.DATA" tmp-path)
  (setv text (.read-text (text-path tmp-path)))
  (assert (= #((len text) (len (set text))) #(1,115,394 65))))

(defn test-a-process-that-fails-is-told-in-a-line []
  (with [e (pytest.raises WorkError :match "failed \\(out of paper\\)")]
    (run-process [sys.executable "-c" "import sys; sys.exit('out of paper')"]))
  (assert (not-in "\n" (str e.value))))

;;; What is asked for

(defn [(pytest.mark.parametrize #("arguments" "words") [
        #(["sampel"]                       "there is no workload sampel: did you mean sample?")
        #(["--rounds" "0"]                 "0 is not a whole number of 1 or more")
        #(["--seconds" "nan"]              "nan seconds are not more than 0")
        #(["--nanogpt" "/nowhere"]         "/nowhere has no model.py: name a checkout of nanoGPT")
        #(["start" "--json" "/no/where.json"]  "the folder /no does not exist")])]
      test-a-wrong-request-is-a-line [capsys arguments words]
  (assert (= (main arguments) 2))
  (setv said (. (capsys.readouterr) err))
  (assert (in words said))
  (assert (= (.count said "\n") 1)))

(defn test-a-checkout-that-cannot-be-imported [tmp-path]
  (for [name ["model.py" "train.py" "config/train_shakespeare_char.py"]]
    (.mkdir (. (/ tmp-path name) parent) :exist-ok True)
    (.write-text (/ tmp-path name) "import nothing_of_that_name"))
  (with [_ (pytest.raises RequestError :match "cannot be imported")]
    (Checkout tmp-path)))

(defn test-the-program [tmp-path root]
  (setv file (/ tmp-path "bench.json")
        path (.join os.pathsep [SCRIPTS (os.environ.get "PYTHONPATH" "")])
        done (subprocess.run [sys.executable "-m" "benchmark" "train-toy" "encode" "--rounds" "2"
                              "--seconds" "0.01" "--json" (str file)]
                             :env {#** os.environ  "PYTHONPATH" path
                                   "TINY_SHAKESPEARE" (str (/ root "data" "ab.txt"))}
                             :cwd tmp-path :capture-output True :text True :timeout 120))
  (assert (= #(done.returncode (.count done.stderr "Traceback")) #(0 0)))
  (setv report (json.loads (.read-text file))
        rows   (get report "results"))
  (assert (= (set report) #{"machine" "rounds" "seconds" "dtype" "text" "results"}))
  (assert (= (lfor  row rows  (get row "workload")) ["train-toy" "encode" "encode"]))
  (for [row rows]
    (assert (= (set row) #{"workload" "title" "unit" "rate" "ours" "peer" "ratio"}))
    (assert (= (len (get row "ours" "seconds")) (len (get row "peer" "seconds")) 2))
    (assert (<= (get row "ratio" "min") (get row "ratio" "median") (get row "ratio" "max")))
    (assert (in (get row "title") done.stdout)))
  (assert (<= (max (map len (.splitlines done.stdout))) 100)))

(defn test-what-was-done-before-a-failure-is-shown [bench capsys monkeypatch]
  (defn fails [bench]
    (raise (WorkError "a peer failed")))
  (monkeypatch.setitem WORKLOADS "start" (Workload "good" [(partial training "good" TINY)]))
  (monkeypatch.setitem WORKLOADS "eval" (Workload "bad" [fails]))
  (monkeypatch.setenv "TORCHINDUCTOR_CACHE_DIR" "")           ; main sets it
  (assert (= (main ["start" "eval" "--rounds" "1" "--seconds" "0.001"]) 1))
  (setv said (capsys.readouterr))
  (assert (in "good: a step" said.out))
  (assert (.endswith said.err "scripts/bench: a peer failed\n")))

(defn test-every-workload-is-told-in-the-help [capsys]
  (with [_ (pytest.raises SystemExit)]
    (main ["--help"]))
  (setv text (. (capsys.readouterr) out))
  (for [name WORKLOADS]
    (assert (in f"\n  {name} " text))))

(defn test-a-rate-is-units-a-second []
  (assert (= (shown {"median" 0.5} {"rate" "MB/s"}) "2 MB/s"))
  (assert (= (shown {"median" 0.5} {"rate" ""}) "500 ms"))
  (assert (= (shown None {"rate" ""}) "-")))

(defn test-several-texts-at-once-are-told-per-text [root]
  (setv [model _] (small "fast" :block-size 8)
        side (our-texts (SimpleNamespace :corpus (read-corpus (/ root "data" "ab.txt"))) model
                        (GPTConfig :block-size 8 :n-embd 8 :n-head 2) 3 5))
  (assert (= side.amount 5)))

(defn test-what-the-table-has-no-column-for []
  (defn row [title ours * [share None]]
    {"title" title  "peer" None
     "ours" {"name" ours  "first_run_seconds" 12.34  "flops_utilization" share}})
  (assert (= (remarks [(row "a: a step" "ours")  (row "a: a step" "ours, compiled")
                          (row "run-cpu" "ours, compiled, warm")
                          (row "b: a step" "ours" :share 0.4)])
             ["a: a step: ours, compiled took 12.3 s for its first step, compiling included"
              "b: a step: ours uses 40.0% of what the GPU is capable of"])))
