"The published runs, by the trainer itself: same seed, same order of draws, same losses.

The lecture's numbers were measured by running its commits, with torch 2.13 on a CPU
(https://github.com/karpathy/ng-video-lecture); where public logs exist they agree. nanoGPT's are
those of its CPU recipe (https://github.com/karpathy/nanoGPT, train_shakespeare_char on a CPU)."

(import  json
         pytest
         nanogpt-hy.lab.training.session [go judge new-run]
         nanogpt-hy.lab.training.trainer [steps]
         nanogpt-hy.ladder [parameters-count])

(defn published [text stage preset-name #** options]
  "The Run that repeats a published one."
  (new-run (str text) :stage stage :preset-name preset-name :draws "published" :device "cpu"
           #** options))

(defn trajectory [run]
  "Train RUN to its end; -> {step: [train loss, validation loss]}"
  (setv found {})
  (go run :judged (fn [run row]
    (setv (get found run.step) [(get row "train_loss") (get row "val_loss")])))
  found)

(defn check [found expected within]
  "Whether FOUND has the losses of EXPECTED, at the steps that are quoted."
  (setv quoted (dfor  step expected  step (get found step)))
  (assert (= quoted (dfor  [step losses] (.items expected)
                           step (pytest.approx losses :abs within :rel 0)))))

(defn check-lecture [text stage count expected * [within 0.002]]
  "The published run of STAGE, as far as EXPECTED goes."
  (setv run (published text stage "lecture" :max-iters (max expected)))
  (assert (= (parameters-count run.model) count))
  (check (trajectory run) expected within))

(defn [(pytest.mark.parametrize #("stage" "count" "expected")
         [#("bigram"    4225 {0 [4.7305 4.7241]  900 [2.4932 2.5088]  2700 [2.4738 2.4911]})
          #("embedding" 4225 {0 [4.3886 4.3734]  900 [2.4903 2.5085]  2700 [2.5006 2.5117]})
          #("position"  4481 {0 [4.4801 4.4801]  900 [2.4967 2.5149]  2700 [2.5040 2.5114]})])]
    test-the-first-stages [stage count expected shakespeare]
  (check-lecture shakespeare stage count expected))

(defn [pytest.mark.slow] test-one-head [shakespeare]
  (check-lecture shakespeare "head" 7553
    {0 [4.2000 4.2047]  2000 [2.4408 2.4523]  4500 [2.3980 2.4084]}))

;; The rest goes as far as step 2000, which takes ten to twenty seconds each. All of it was run for
;; this project once: the multi-head stages agree at step 4500 as well. Where layers are stacked the
;; rounding of sums, which is not the same on every processor, is felt after so many steps, in the
;; lecture's own code too: 0.0016 off at step 2000, 0.0035 at step 4999. They are given some room.

(defn [pytest.mark.slow
       (pytest.mark.parametrize #("stage" "count" "expected")
         [#("multi-head"   7553   {0 [4.2227 4.2226]  2000 [2.3716 2.3844]})
          #("feed-forward" 8609   {0 [4.1996 4.1995]  2000 [2.3297 2.3470]})])]
    test-the-stages-without-depth [stage count expected shakespeare]
  (check-lecture shakespeare stage count expected))

(defn [pytest.mark.slow
       (pytest.mark.parametrize #("stage" "count" "expected")
         [#("residual"     41,921 {0 [4.6255 4.6233]  2000 [2.1463 2.1824]})
          #("layer-norm"   42,369 {0 [4.3103 4.3097]  2000 [2.1310 2.1666]})])]
    test-the-stages-with-depth [stage count expected shakespeare]
  (check-lecture shakespeare stage count expected :within 0.004))

(defn [pytest.mark.slow] test-nanogpts-cpu-recipe [shakespeare]
  "Nine evaluations, and the losses of two batches between them."
  (setv run (published shakespeare "fast" "shakespeare-cpu"))
  (assert (= (parameters-count run.model) 804,096))
  (setv first (judge run)
        batch-losses [(steps run 1) (steps run 100)])
  (assert (= batch-losses (pytest.approx [4.1828 2.6635] :abs 5e-4 :rel 0)))
  (check (| {0 [(get first "train_loss") (get first "val_loss")]} (trajectory run))
         {0    [4.1676 4.1649]   250 [2.4293 2.4447]   500 [2.2732 2.3141]
          750  [2.1338 2.1905]  1000 [1.9714 2.0528]  1250 [1.8756 2.0089]
          1500 [1.8557 1.9225]  1750 [1.7790 1.8921]  2000 [1.7648 1.8857]}
         0.0005)
  (assert (< (get run.best "val_loss") 1.90)))

(defn test-the-command-does-the-same [cli shakespeare tmp-path]
  (setv done (cli "train" shakespeare "--stage" "bigram" "--preset" "lecture" "--draws" "published"
                  "--max-iters" 900 "--device" "cpu" "--out" "run"))
  (assert (= done.returncode 0) done.stderr)
  (setv rows (lfor  line (.splitlines (.read-text (/ tmp-path "run" "metrics.jsonl")))
                    (json.loads line)))
  (check (dfor  row rows  :if (= (get row "event") "eval")
                (get row "step") [(get row "train_loss") (get row "val_loss")])
         {0 [4.7305 4.7241]  900 [2.4932 2.5088]}
         0.002))

(defn test-a-stages-own-settings-lie-over-the-preset-and-under-the-options [tmp-path]
  (setv text (/ tmp-path "text.txt"))
  (.write-text text (* "to be or not to be, that is the question\n" 20))
  (defn settings [stage #** request]
    (setv run (new-run (str text) :stage stage #** request))
    [run.train.learning-rate run.train.max-iters run.train.eval-interval])
  (assert (= (settings "bigram" :preset-name "lecture") [1e-2 3000 300]))
  (assert (= (settings "head" :preset-name "lecture") [1e-3 5000 500]))
  (assert (= (settings "bigram" :preset-name "lecture" :settings {"max_iters" 7} :learning-rate 0.5)
             [0.5 7 300]))
  (assert (= (get (settings "bigram" :preset-name "ab") 2)
             (get (settings "gpt" :preset-name "ab") 2))))
