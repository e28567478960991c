"The ladder, climbed: equal conditions, what is compared, what is kept, the table and the picture."

(import  dataclasses [replace]
         json
         math [log]
         pytest
         torch
         nanogpt-hy.config [PRESETS]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.data.chain-files [write-data]
         nanogpt-hy.lab.data.corpus [read-corpus]
         nanogpt-hy.lab.data.markov [ab-chain floor]
         nanogpt-hy.lab.training.climb :as climb
         nanogpt-hy.lab.training.comparison [compared comparison draw-comparison measured-by]
         nanogpt-hy.lab.training.evaluation [all-of floor-here mean-loss]
         nanogpt-hy.lab.training.trainer [fresh-batches Run steps]
         nanogpt-hy.ladder [STAGES])

(setv QUICK {"n_embd" 8  "n_head" 2  "n_layer" 1  "batch_size" 4  "device" "cpu"})

(defn [pytest.fixture] ab [tmp-path monkeypatch]
  "The name of a small a/b text, in the current folder."
  (.chdir monkeypatch tmp-path)
  (write-data "ab.txt" (ab-chain) 200 :seed 5)
  "ab.txt")

(defn [pytest.fixture] prose [tmp-path monkeypatch]
  "The name of a small text of no known chain."
  (.chdir monkeypatch tmp-path)
  (.write-text (/ tmp-path "prose.txt") (* "to be or not to be, that is the question\n" 30))
  "prose.txt")

(defn quick-rungs [text #* stages #** options]
  (setv corpus (read-corpus text))
  [corpus (climb.rungs corpus (or stages climb.RUNGS) :max-steps 2 #** (| QUICK options))])

(defn run-ladder [text #** request]
  (setv request (| {"max_steps" 2  "seeds" 2  "stages" "bigram,head"  "options" QUICK} request))
  (climb.ladder text #** request))

;;; Equal conditions

(defn test-each-stage-once-for-each-seed [ab]
  (setv [corpus all] (quick-rungs ab :seeds 2 :seed 7))
  (assert (= (lfor  r all  [r.stage r.train.seed])
             (lfor  stage STAGES  :if (!= stage "fast")  seed [7 8]  [stage seed])))
  (assert (= 1 (len (sfor  r all  (replace r.config :dropout 0.0)))))
  (assert (= 1 (len (sfor  r all  (replace r.train :seed 0))))))

(defn test-stages-come-in-the-ladders-order []
  (assert (= (climb.chosen-stages "gpt, bigram,head,gpt,") ["bigram" "head" "gpt"])))

(defn test-only-the-last-stages-drop-out [ab]
  (defn chances [#** options]
    (setv [_ all] (quick-rungs ab :seeds 1 #** options))
    (dfor  r all  :if r.config.dropout  r.stage r.config.dropout))
  (assert (= (chances) {"dropout" 0.1  "gpt" 0.1}))
  (assert (= (chances :dropout 0.3) {"dropout" 0.3  "gpt" 0.3}))
  (assert (= (chances :dropout 0.0) {})))

(defn test-all-stages-see-the-same-batches [ab]
  (setv [corpus all] (quick-rungs ab "bigram" "residual" "gpt" :seeds 1)
        seen [])
  (for [rung all]
    (setv run (Run corpus rung.config rung.train :stage rung.stage))
    (steps run 2)
    (.append seen (get (fresh-batches run) 0 0)))
  (for [batch seen]
    (assert (torch.equal batch (get seen 0)))))

(defn test-a-result-is-the-loss-over-the-whole-validation-part [ab]
  (setv [corpus [rung]] (quick-rungs ab "head" :seeds 1)
        row (climb.climbed rung corpus)
        run (Run corpus rung.config rung.train :stage "head"))
  (steps run 2)
  (assert (= (get row "loss")
             (get (mean-loss run.model (all-of corpus corpus.val rung.config.block-size)) 0)))
  (assert (= (get row "parameters") (sum (gfor  w (.parameters run.model)  (.numel w))))))

(defn test-the-preset-fits-the-text [ab prose]
  (defn shape [text #** options]
    (setv [rung #* _] (climb.rungs (read-corpus text) ["gpt"] #** options))
    rung)
  (assert (= (. (shape "ab.txt") config block-size) (get PRESETS "ab" "block_size")))
  (setv lecture (shape "prose.txt"))
  (assert (= lecture.config.block-size 8))
  (assert (= lecture.train.max-iters climb.STEPS))
  (assert (= lecture.config.scale "head-size"))         ; no slip,
  (assert (= lecture.train.init "auto"))                ; and the stages' own first weights
  (assert (= (. (shape "prose.txt" :scale "n-embd") config scale) "n-embd"))
  (setv short (shape "prose.txt" :preset-name "ab" :settings {"max_iters" 9}))
  (assert (= short.train.max-iters 9)))

(defn [(pytest.mark.parametrize #("request_" "words")
         [#({"stages" "bigram,haed"}                "did you mean head")
          #({"stages" ","}                          "names no stage")
          #({"seeds" 0}                             "--seeds is 0")
          #({"seeds" 4,000,000,000}                 "at most 1000")
          #({"max_steps" 0}                         "--steps is 0")
          #({"options" {"max_iters" 5}}             "give one of them")
          #({"options" {"max_iters" 0}  "max_steps" None}  "--max-iters is 0")
          #({"options" {"max_iters" 5}  "max_steps" 0}     "give one of them")
          #({"options" {"draws" "published"}}       "other batches")
          #({"options" {"block_size" 100,000}}      "use --block-size")
          #({"options" {"n_embd" 9  "n_head" 2}}    "not divisible")
          #({"preset_name" "lectur"}                "did you mean lecture")
          #({"png" "out.pdf"}                       "does not end in .png")
          #({"png" "out.svg"}                       "does not end in .png")
          #({"svg" "nowhere/out.svg"}               "the folder nowhere does not exist")])]
    test-wrong-requests-cost-no-work [request- words ab tmp-path]
  (with [error (pytest.raises RequestError)]
    (run-ladder ab #** request-))
  (assert (in words (str error.value)))
  (assert (not (.exists (/ tmp-path "runs")))))

;;; What is kept

(defn [pytest.fixture] counted [monkeypatch]
  "A list that gets the stage and seed of each run that is trained."
  (setv trained []  honest climb.climbed)
  (defn counting [rung corpus #** options]
    (.append trained [rung.stage rung.train.seed])
    (honest rung corpus #** options))
  (.setattr monkeypatch climb "climbed" counting)
  trained)

(defn test-a-result-has-numbers-that-a-float-can-hold []
  (setv row {"key" "k"  "stage" "head"  "seed" 1  "parameters" 9  "loss" 0.5  "seconds" 1})
  (assert (climb.is-result row))
  (for [loss [(** 10 400) (float "nan") (float "inf") "0.5" None True]]
    (assert (not (climb.is-result (| row {"loss" loss}))))))

(defn test-what-is-done-is-not-done-again [ab counted capsys]
  (run-ladder ab :as-json True)
  (setv once (. (.readouterr capsys) out))
  (assert (= (len counted) 4))
  (run-ladder ab :as-json True)
  (assert (= (len counted) 4))
  (assert (= once (. (.readouterr capsys) out)))
  (run-ladder ab :seeds 3)
  (assert (= (cut counted 4 None) [["bigram" 1339] ["head" 1339]])))

(defn test-other-work-is-done [ab counted]
  (run-ladder ab)
  (for [[n request] (enumerate [{"max_steps" 3}  {"options" {#** QUICK  "learning_rate" 0.5}}
                                {"options" {#** QUICK  "seed" 5}}])]
    (run-ladder ab #** request)
    (assert (= (len counted) (* 4 (+ n 2)))))
  (write-data "ab.txt" (ab-chain) 200 :seed 6 :overwrite True)
  (run-ladder ab)
  (assert (= (len counted) 20)))

(defn test-an-interrupted-climb-goes-on [ab counted monkeypatch capsys]
  "The third run is stopped halfway; the next climb does that one and the last."
  (setv honest climb.steps)
  (defn stopped [run count #** options]
    (when (= (len counted) 3)
      (setv run.stopping "SIGINT"))
    (honest run count #** options))
  (.setattr monkeypatch climb "steps" stopped)
  (.setattr monkeypatch climb "estimate" (fn [todo corpus] 1.0))
  (assert (= (run-ladder ab) 130))
  (setv said (.readouterr capsys))
  (assert (= said.out ""))
  (assert (in "the same command goes on" said.err))
  (.setattr monkeypatch climb "steps" honest)
  (assert (= (run-ladder ab) 0))
  (assert (= counted [["bigram" 1337] ["bigram" 1338] ["head" 1337]
                      ["head" 1337] ["head" 1338]])))

(defn test-a-damaged-file-of-results-costs-only-its-lines [ab counted tmp-path]
  (run-ladder ab)
  (setv path (/ tmp-path "runs" "ladder-ab" "results.jsonl")
        lines (.splitlines (.read-text path))
        wrong (json.dumps (| (json.loads (get lines 1)) {"loss" "low"})))
  (.write-text path (+ (get lines 0) "\n" wrong "\n[1]\nnull\n" (get lines 2) "\n"
                       (cut (get lines 3) 40)))
  (run-ladder ab)
  (assert (= (cut counted 4 None) [["bigram" 1338] ["head" 1338]]))
  (run-ladder ab)
  (assert (= (len counted) 6)))

(defn test-results-that-cannot-be-kept [ab tmp-path]
  (.write-text (/ tmp-path "taken") "")
  (with [_ (pytest.raises RequestError :match "taken cannot be a folder")]
    (run-ladder ab :out "taken")))

;;; What is compared

(defn test-the-comparison-as-data [ab capsys]
  (run-ladder ab :as-json True :seeds 3)
  (setv found (json.loads (. (.readouterr capsys) out))
        [bigram head] (get found "stages")
        losses (get head "losses"))
  (assert (= (len (get found "counting")) 4))
  (assert (= (get found "floors")
             (+ (lfor  k (range 4)  {"tokens" k  "loss" (floor (ab-chain) :context k)})
                [{"tokens" None  "loss" (floor (ab-chain))}])))
  (assert (= (get head "seeds") [1337 1338 1339]))
  (assert (= (get head "loss") (pytest.approx (/ (sum losses) 3))))
  (assert (= (get head "spread") (pytest.approx (.item (.std (torch.tensor losses))) :rel 1e-4)))
  (assert (= (get head "difference") (pytest.approx (- (get head "loss") (get bigram "loss")))))
  (assert (is (get bigram "difference") None)))

(defn test-a-difference-is-from-the-stage-above []
  (setv rows (lfor  [stage losses] [["bigram" [5.0 7.0]] ["head" [4.0 6.0]] ["gpt" [2.0 2.0]]]
                    [seed loss] (enumerate losses)
                    {"stage" stage  "seed" seed  "loss" loss  "parameters" 9  "seconds" 1}))
  (assert (= (lfor  row (compared rows)  (get row "difference")) [None -1.0 -3.0])))

(defn test-what-the-chain-itself-loses [ab]
  "Worked out another way: a line of a/b text is settled by where its first b is."
  (setv corpus (read-corpus ab)
        lines (.split (.decode corpus.tokenizer (.tolist corpus.val)))
        bits (sum (gfor  line lines  (min 8 (+ 1 (.count line "a"))))))
  (assert (= (floor-here corpus 16)
             (pytest.approx (/ (* bits (log 2)) (len corpus.val))))))

(defn test-one-seed-has-no-spread [prose capsys]
  (run-ladder prose :seeds 1 :as-json True)
  (setv found (json.loads (. (.readouterr capsys) out)))
  (assert (= [None None] (lfor  row (get found "stages")  (get row "spread"))))
  (assert (= (get found "floors") [])))

(defn test-the-table-has-80-columns [ab capsys]
  (run-ladder ab :stages None :seeds 1)
  (setv [out err] (.readouterr capsys))
  (for [line (.splitlines out)]
    (assert (<= (len line) 80) line))
  (for [stage climb.RUNGS]
    (assert (in f"\n{stage} " out)))
  (assert (in "floor         the best that sees 1 token" out))
  (assert (in "12 stages, 1 seed each: 12 runs of 2 steps" err))
  (assert (in "will take about" err)))

(defn test-the-picture-has-a-dot-a-seed-and-a-line-a-floor [ab tmp-path capsys]
  (run-ladder ab :as-json True :seeds 3 :png "a.png" :svg "b.svg")
  (setv found (json.loads (. (.readouterr capsys) out))
        [axes] (. (draw-comparison found) axes)
        dots (lfor  line axes.lines  :if (= (.get-marker line) "o")  (list (.get-xdata line))))
  (assert (= dots (lfor  row (get found "stages")  (get row "losses"))))
  (assert (= (lfor  t axes.texts  (.get-text t))
             ["sees it all" "the chain itself" "sees 3 tokens" "sees 2 tokens" "sees 1 token"
              "sees nothing"]))
  (assert (.startswith (.read-bytes (/ tmp-path "a.png")) b"\x89PNG"))
  (assert (in "sees 1 token" (.read-text (/ tmp-path "b.svg")))))

(defn test-without-a-chain-the-lines-are-counting-models [prose]
  (setv [corpus all] (quick-rungs prose "bigram" :seeds 1)
        found (comparison corpus all (lfor  rung all  (climb.climbed rung corpus)))
        names (lfor  [_ name] (measured-by found)  name))
  (assert (= names ["counts, order 3" "counts, order 2" "counts, order 1" "counts, order 0"])))

;;; The command

(defn test-the-command [cli ab tmp-path]
  (setv ask ["ladder" ab "--seeds" 1 "--steps" 2 "--stages" "bigram,head" "--n-embd" 8
             "--out" "kept" "--png" "a.png"]
        done (cli #* ask))
  (assert (= done.returncode 0) done.stderr)
  (assert (in "\nhead " done.stdout))
  (assert (in "will take about" done.stderr))
  (assert (.exists (/ tmp-path "a.png")))
  (assert (= 2 (len (.splitlines (.read-text (/ tmp-path "kept" "results.jsonl"))))))
  (setv again (cli #* ask "--json"))
  (assert (in "2 of them are in" again.stderr))
  (assert (= ["bigram" "head"]
             (lfor  row (get (json.loads again.stdout) "stages")  (get row "stage")))))

(defn test-the-command-for-a-difference [cli]
  (setv done (cli "ladder" "--diff" "residual" "layer-norm"))
  (assert (= done.returncode 0))
  (assert (in "+ (norm c …)  around (attention c)" done.stdout))
  (for [wrong [["ladder"] ["ladder" "ab.txt" "--diff" "head" "gpt"] ["ladder" "--diff" "head"]]]
    (setv done (cli #* wrong))
    (assert (= [done.returncode done.stdout (.count done.stderr "\n")] [2 "" 1]) done.stderr)))

(defn test-an-estimate-is-for-all-steps-of-all-runs [ab monkeypatch]
  (defn a-second-each [run count #** how]
    (setv run.seconds (+ run.seconds count)))
  (monkeypatch.setattr climb "steps" a-second-each)
  (setv [corpus all] (quick-rungs ab "bigram" "head" :seeds 2)
        count        (. (get all 0) train max-iters))
  (assert (= (climb.estimate all corpus) (pytest.approx (* 4 count))))
  (assert (= (climb.estimate (cut all 1) corpus) (pytest.approx count))))

(defn test-a-comparison-says-of-what [ab]
  (setv [corpus all] (quick-rungs ab "bigram" "head" :seeds 2)
        found (comparison corpus all [{"stage" "bigram"  "seed" 1  "parameters" 9  "loss" 1.0
                                       "seconds" 1}]))
  (assert (= (get found "train_tokens") (len corpus.train)))
  (assert (= (get found "val_tokens") (len corpus.val)))
  (assert (= (get found "steps") (. (get all 0) train max-iters))))

(defn test-lines-that-stand-far-from-all-dots-are-left-out []
  (setv found {"stages" [{"losses" [1.0 2.0]}]  "floors" []  "chain" None
               "counting" [{"order" 0  "loss" 2.3}  {"order" 1  "loss" 2.1}
                           {"order" 2  "loss" 0.1}]})
  (assert (= (measured-by found) [[0.1 "counts, order 2"] [2.1 "counts, order 1"]])))

(defn test-a-result-says-of-what-it-is-one []
  (setv row {"key" "k"  "stage" "head"  "seed" 1  "parameters" 9  "loss" 0.5  "seconds" 1})
  (assert (climb.is-result row))
  (for [key ["stage" "seed"]]
    (assert (not (climb.is-result (dfor  [k v] (.items row)  :if (!= k key)  k v))))))
