"What a climb of the ladder came to: the stages side by side, as data, as a table, as a picture."

(import  dataclasses [asdict]
         statistics [mean stdev]
         rich.table [Table]
         nanogpt-hy.lab.data.counting [counting-losses HIGHEST]
         nanogpt-hy.lab.data.markov [floor]
         nanogpt-hy.lab.training.evaluation [floor-here loss-floor]
         nanogpt-hy.ladder [STAGES])

;;; As data

(defn compared [results]
  "results -> a dict for each stage: its losses, their mean and spread, the difference."
  (setv out []  before None)
  (for [stage (dict.fromkeys (gfor  row results  (get row "stage")))]
    (setv rows (lfor  row results  :if (= (get row "stage") stage)  row)
          losses (lfor  row rows  (get row "loss"))
          loss (mean losses))
    (.append out {"stage" stage  "adds" (. (get STAGES stage) adds)
                  "parameters" (get rows 0 "parameters")
                  "seeds" (lfor  row rows  (get row "seed"))  "losses" losses  "loss" loss
                  "spread" (when (> (len losses) 1) (stdev losses))
                  "difference" (when (is-not before None) (- loss before))
                  "seconds" (sum (gfor  row rows  (get row "seconds")))})
    (setv before loss))
  out)

(defn counts-and-floors [corpus block-size]
  "-> losses of counting models and exact floors: what the stages can be measured against."
  (setv lowest (loss-floor corpus block-size))
  {"counting" (lfor  [order loss] (.items (counting-losses corpus))  {"order" order  "loss" loss})
   "floors" (if (is lowest None)
              []
              (+ (lfor  seen (range (+ HIGHEST 1))
                        {"tokens" seen  "loss" (floor corpus.chain :context seen)})
                 [{"tokens" None  "loss" lowest}]))
   "chain" (floor-here corpus block-size)})

(defn comparison [corpus all results]
  "-> JSON: the whole comparison."
  (setv [rung #* _] all)
  (| {"text" corpus.path  "sha256" corpus.sha256
      "train_tokens" (len corpus.train)  "val_tokens" (len corpus.val)
      "steps" rung.train.max-iters
      "config" (dfor  [k v] (.items (asdict rung.config))  :if (!= k "dropout")  k v)
      "train" (dfor  [k v] (.items (asdict rung.train))  :if (!= k "seed")  k v)
      "dropout" (dfor  r all  r.stage r.config.dropout)}
     (counts-and-floors corpus rung.config.block-size)
     {"stages" (compared results)}))

;;; As a table and as a picture

(defn seen-words [tokens]
  "How much a floor's model sees  ; (seen-words 1) => '1 token'"
  (cond
    (is tokens None) "it all"
    (= tokens 0)     "nothing"
    True             f"{tokens} token{(if (= tokens 1) "" "s")}"))

(defn counted-words [order]
  "What a counting model counts  ; (counted-words 2) => 'what followed 2 tokens'"
  (if (= order 0) "how often each token came"
                  f"what followed {order} token{(if (= order 1) "" "s")}"))

(defn number [value [form ".4f"]]
  (if (is value None) "" (format value form)))

(defn comparison-table [found]
  "comparison -> rich Table: yardsticks above, then the stages."
  (setv table (Table :box None :padding #(0 2 0 0) :pad-edge False))
  (.add-column table "stage" :no-wrap True)
  (.add-column table "what it adds" :ratio 1)
  (for [name ["parameters" "loss" "spread" "change"]]
    (.add-column table name :justify "right" :no-wrap True))
  (for [row (get found "counting")]
    (.add-row table f"counts, {(get row "order")}" (counted-words (get row "order")) ""
              (number (get row "loss"))))
  (for [row (get found "floors")]
    (.add-row table "floor" f"the best that sees {(seen-words (get row "tokens"))}" ""
              (number (get row "loss"))))
  (when (is-not (get found "chain") None)
    (.add-row table "the chain" "itself, on these very lines" "" (number (get found "chain"))))
  (.add-row table)
  (for [row (get found "stages")]
    (.add-row table (get row "stage") (get row "adds") f"{(get row "parameters") :,}"
              (number (get row "loss")) (number (get row "spread"))
              (number (get row "difference") "+.4f")))
  table)

(defn print-comparison [found out]
  "The table, in 80 columns, and what its numbers are."
  (.print out (comparison-table found))
  (setv seeds (len (get found "stages" 0 "seeds"))
        spread (if (> seeds 1) f"; spread: standard deviation over {seeds} seeds" ""))
  (.print out (+ f"\nloss: nats per token over the validation part ({(get found "val_tokens") :,} "
                 f"tokens), after {(get found "steps") :,} steps{spread}; "
                 "change: from the stage above"
                 (if (get found "floors")
                   "; floor: exact, the mean over all texts of the chain" ""))))

(defn measured-by [found]
  "comparison -> [loss name] of the lines in the picture: floors, or counting models where no floor
  is known; none that stands far from all dots."
  (setv worst (max (gfor  row (get found "stages")  loss (get row "losses")  loss))
        floors (+ (lfor  row (get found "floors")
                         [(get row "loss") f"sees {(seen-words (get row "tokens"))}"])
                  (if (is (get found "chain") None) [] [[(get found "chain") "the chain itself"]]))
        counts (lfor  row (get found "counting")
                      [(get row "loss") f"counts, order {(get row "order")}"]))
  (sorted (gfor  line (or floors counts)  :if (<= (get line 0) (* 1.1 worst))  line)))

(defn draw-lines [axes lines]
  "Upright lines at the losses, each with its name above, the names moved apart where they are
  close."
  (import nanogpt-hy.lab.pictures.plots [FAINT INK])
  (setv [low high] (.get-xlim axes)
        free 0.0)
  (for [[loss name] lines]
    (setv at (/ (- loss low) (- high low))             ; in parts of the picture's width
          place (max at free)
          free (+ place 0.045))
    (.axvline axes loss :color FAINT :linewidth 1 :zorder 0)
    (.plot axes [at place] [1 1.04] :transform axes.transAxes :clip-on False :color FAINT
           :linewidth 1)
    (.text axes place 1.05 name :transform axes.transAxes :color INK :fontsize 10
           :rotation 45 :rotation-mode "anchor" :va "center")))

(defn draw-comparison [found]
  "comparison -> Figure: a dot for each seed, a line for each floor or counting model."
  (import nanogpt-hy.lab.pictures.plots [COLOURS new-figure])
  (setv stages (get found "stages")
        lines (measured-by found)
        figure (new-figure 7.2 (+ 1.9 (* 0.3 (len stages))))
        axes (.subplots figure)
        all (+ (lfor  [loss _] lines  loss)
               (lfor  row stages  loss (get row "losses")  loss))
        margin (or (* 0.04 (- (max all) (min all))) 0.1))
  (.set-xlim axes (- (min all) margin) (+ (max all) margin))
  (for [[i row] (enumerate stages)]
    (.plot axes (get row "losses") (* [i] (len (get row "losses"))) "o" :color (get COLOURS 0)
           :alpha 0.75 :markeredgewidth 0))
  (draw-lines axes lines)
  (.set-yticks axes (range (len stages)) (lfor  row stages  (get row "stage")))
  (.set-ylim axes (- (len stages) 0.4) -0.6)
  (.set-xlabel axes (+ f"validation loss after {(get found "steps") :,} steps, nats per token\n"
                       "a dot for each seed, a line for "
                       (if (get found "floors") "the best that sees so much"
                                                "each counting model")))
  figure)
