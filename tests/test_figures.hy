"Pictures of all kinds: in a terminal of 80 columns without colour, and as PNG and SVG."

(import  io [StringIO]
         re
         pytest
         rich.cells [cell-len]
         rich.console [Console]
         subjects [all-kinds small]
         nanogpt-hy.lab.inside.inspect [show-data]
         nanogpt-hy.lab.inside.machine [machine]
         nanogpt-hy.lab.lisp.workbench [show]
         nanogpt-hy.lab.pictures.canvas [plain]
         nanogpt-hy.lab.pictures.figures [figure-of]
         nanogpt-hy.lab.pictures.plots [save-figure]
         nanogpt-hy.lab.pictures.tables [expectation matrix-lines]
         nanogpt-hy.lab.pictures.terminal [bar fit legend nearest panel scatter shade thinned])

(defn [(pytest.fixture :scope "module")] kinds [tmp-path-factory]
  (all-kinds (.mktemp tmp-path-factory "kinds")))

(defn printed [data width]
  (setv out (StringIO))
  (show-data data (Console :file out :width width :highlight False))
  (.getvalue out))

(defn shown [data]
  "The lines that show DATA in a terminal."
  (.splitlines (printed data 80)))

(defn [(pytest.mark.parametrize "width" [80 120])]
      test-nothing-is-wider-than-the-terminal [kinds width]
  (for [data kinds]
    (setv lines (.split (printed data width) "\n"))
    (assert (> (len lines) 3))
    (for [line lines]
      (assert (<= (cell-len line) width) line)
      (assert (not (re.search r"[\x00-\x1f\x7f]" line)) line))))

(defn test-every-picture-asks-its-question [kinds]
  (for [data kinds]
    (assert (in "?" (get data "question")))
    (assert (.startswith (.replace (printed data 80) "\n" " ") (get data "question")))
    (setv title (.get-suptitle (figure-of data)))
    (assert (= (.replace title "\n" " ") (plain (get data "question"))))))

(defn test-bars-and-shades []
  (assert (= (lfor  x [0 0.1 0.3 0.5 1]  (shade x)) (list " ░▒▓█")))
  (for [mark " ░▒▓█"]
    (assert (in f"[{mark}]" (legend))))
  (assert (= (bar 1 1 4) "████"))
  (assert (= (bar 0.5 1 4) "██  "))
  (assert (= (bar 0.25 2 4) "▌   "))
  (assert (= (bar 1 1 4 0) "|███"))
  (assert (= (bar 0 0 3) "   "))
  (assert (= (fit "abcdef" 4) "ab.."))
  (assert (= (fit "漢字漢" 4) "漢.."))
  (assert (= (thinned (list (range 100)) 3) [0 50 99])))

(defn test-a-panel-reads-as-drawn []
  (assert (= (panel "head" ["a" "b"] [[1.0 0.0] [0.3 0.7]] 80 False)
             ["head"
              "  a b "
              "a ██  "
              "b ▒▒██"]))
  (assert (= (panel "h" ["a" "b"] [[1.0 0.0] [0.3 0.7]] 80 True)
             ["h"
              "  a    b    "
              "a ██100     "
              "b ▒▒ 30██ 70"]))
  (setv wide (panel "h" (* ["x"] 200) (* [(* [0.5] 200)] 200) 80 False))
  (assert (= (max (map len wide)) 80)))

(defn test-points-stand-where-they-are []
  (assert (= (scatter {"labels" ["a" "b" "c"]  "points" [[0 0] [1 1] [1 0]]} 8 3)
             ["|    b" "|" "|a   c"])))

(defn test-a-wide-character-takes-two-columns []
  (setv group {"labels" ["\u6f22" "b"]  "points" [[0 0] [1 0]]})
  (assert (= (scatter group 8 1) ["|\u6f22  b"])))

(defn test-files [kinds tmp-path]
  (for [[i data] (enumerate kinds)]
    (save-figure (figure-of data) (/ tmp-path f"{i}.svg"))
    (assert (in "<svg" (.read-text (/ tmp-path f"{i}.svg") :encoding "utf-8"))))
  (save-figure (figure-of (get kinds 5)) (/ tmp-path "machine.png"))
  (assert (.startswith (.read-bytes (/ tmp-path "machine.png")) b"\x89PNG")))

(defn axis-labels [axis]
  (lfor  t (.get-ticklabels axis)  (.get-text t)))

(defn test-axes-have-the-texts-own-characters [kinds]
  (setv data (get kinds 0)
        [axes #* _] (. (figure-of data) axes)
        wanted (list (map plain (get data "tokens"))))
  (assert (= (axis-labels axes.xaxis) (axis-labels axes.yaxis) wanted))
  (assert (in "↵" wanted))
  (assert (in "␣" wanted))
  (assert (in r"\$" wanted))
  (assert (in "U+6F22" wanted))
  (setv [true model #* _] (. (figure-of (get kinds 7)) axes))
  (assert (= (axis-labels true.xaxis) (axis-labels model.yaxis) ["↵" "a" "b"])))

(defn axes-of [data]
  (. (figure-of data) axes))

(defn widths [axes]
  "The lengths of its bars that lie."
  (lfor  bar axes.patches  (float (.get-width bar))))

(defn table-of [axes]
  "The numbers of its squares."
  (.tolist (.get-array (get axes.images 0))))

(defn test-pictures-show-the-numbers [kinds]
  (setv [attention next positions loss embeddings _ _ chain counted] kinds)
  (setv rows (lfor  layer (get attention "layers")  head (get layer "heads")  (get head "weights")))
  (for [[axes weights] (zip (axes-of attention) rows)]
    (assert (= (table-of axes) weights)))
  (setv order (sorted (range (len (get next "before")))
                      :key (fn [i] (- (get next "before" i)))))
  (assert (= (widths (get (axes-of next) 0))
             (lfor  key ["before" "after"]  i order  (get next key i))))
  (setv curves (get (. (get (axes-of positions) 0) containers) 0 0))
  (assert (= (list (.get-ydata curves)) (get positions "loss")))
  (assert (= (lfor  line (cut (. (get (axes-of loss) 0) lines) 2)  (list (.get-ydata line)))
             [(get loss "train") (get loss "val")]))
  (assert (= (table-of (get (axes-of embeddings) 1)) (get embeddings "groups" 0 "cosines")))
  (setv [true model below _] (cut (axes-of chain) 4)
        rows (get chain "transitions"))
  (for [[axes key] [[true "true"] [model "model"]]]
    (assert (= (table-of axes) (lfor  row (get rows key)  (or row [0 0 0])))))
  (assert (= (widths below)
             (cut (sorted (gfor  c (get chain "contexts")  (* (get c "weight") (get c "kl")))
                          :reverse True)
                  12)))
  (setv bars (get (axes-of counted) 3))
  (assert (= (lfor  bar bars.patches  (float (.get-height bar)))
             (list (.values (get counted "counting"))))))

(defn test-show-draws-data [kinds capsys]
  (show (get kinds 5))
  (assert (in "entropy rate" (. (capsys.readouterr) out))))

(defn test-what-comes-next-in-a-cell []
  (assert (= (expectation ["a" "b" "c"] [0.249 0.75 0.001] 40 :to [0 1 2]) "b 75.0>2  a 24.9>1"))
  (assert (= (expectation ["a" "b"] [0.25 0.75] 8) "b 75.0")))

(defn test-two-tables-side-by-side []
  (assert (= (matrix-lines {"transitions" {"from" ["a" "b"]  "true" [[0.1 0.9] None]
                                           "model" [[0.3 0.7] [0.5 0.5]]}} 60 "true")
             ["     true, %          model, %"
              "        a    b           a    b"
              "   a 10.0 90.0      a 30.0 70.0"
              "   b                b 50.0 50.0"])))

(defn test-the-nearest-come-first []
  (setv group {"labels" (list "abcd")
               "cosines" [[1 0.1 -0.5 0.9] [0.1 1 0 0] [0 0 1 0] [0 0 0 1]]})
  (assert (= (nearest group 0 2) "d +0.90   b +0.10")))

(defn test-curves-as-a-table []
  (setv lines (shown {"kind" "loss"  "question" "?"  "steps" [0 10]  "train" [3.0 1.0]
                      "val" [4.0 2.0]  "yardsticks" {"floor" 1.0}}))
  (assert (= (cut (get lines 3) 30) "       0    3.0000      4.0000"))
  (assert (= (cut (get lines 4) 30) "      10    1.0000      2.0000"))
  (assert (in "floor           1.0000  |" lines)))

(defn test-the-likeliest-stands-first []
  (setv lines (shown {"kind" "next"  "question" "?"  "left_out" 3  "tokens" ["a" "b"]
                      "before" [0.25 0.75]  "after" [0.25 0.75]  "entropy" 0.5}))
  (assert (in "The first 3 tokens of the prompt" (get lines 1)))
  (assert (= (lfor  line (cut lines 3 5)  (cut line 10)) ["b   75.0 %" "a   25.0 %"])))

(defn test-a-table-of-states-begins-with-the-most-frequent []
  (setv lines (shown {"kind" "chain"  "question" "?"  "alphabet" ["a" "b"]  "entropy_rate" 0.5
                      "tolerance" 0.02
                      "states" [{"context" "s"  "stationary" 0.2  "next" [1.0 0.0]  "to" [1 0]}
                                {"context" "t"  "stationary" 0.8  "next" [0.5 0.5]  "to" [0 1]}]
                      "merged" [{"contexts" ["s"]  "stationary" 0.2  "next" [1.0 0.0]  "to" [1 0]}
                                {"contexts" ["t"]  "stationary" 0.8  "next" [0.4 0.6]
                                 "to" [0 1]}]})
        rows  (lfor  line lines  :if (re.search r"\d\.\d  [ab] \d" line)  (.split line)))
  (assert (= rows [["t" "80.0" "a" "50.0" "b" "50.0"]
                   ["s" "20.0" "a" "100.0"]
                   ["2" "t" "80.0" "b" "60.0>2" "a" "40.0>1"]
                   ["1" "s" "20.0" "a" "100.0>2"]])))

(defn test-a-table-of-the-truth-begins-where-most-is-lost []
  (defn context [name weight kl]
    {"context" name  "weight" weight  "kl" kl  "true" [0.25 0.75]  "model" [0.6 0.4]})
  (setv lines (shown {"kind" "truth"  "against" "chain"  "question" "?"  "chars" ["a" "b"]
                      "share" 1.0  "contexts" [(context "x" 0.1 2.0) (context "y" 0.9 1.0)]
                      "kl" 1.1  "floor" 0.5  "loss" 1.6
                      "transitions" {"from" ["a" "b"]  "true" [[0.1 0.9] [1.0 0.0]]
                                     "model" [[0.3 0.7] [0.5 0.5]]}})
        rows  (lfor  line lines  :if (re.match "[xy] " line)  (.split line)))
  (assert (= rows [["y" "90.00" "1.0000" "b" "75.0" "a" "25.0" "a" "60.0" "b" "40.0"]
                   ["x" "10.00" "2.0000" "b" "75.0" "a" "25.0" "a" "60.0" "b" "40.0"]]))
  (assert (in "loss 1.6000 = floor 0.5000 + KL 1.1000 nats per token" lines)))

(defn test-positions-as-a-table []
  (setv lines (shown {"kind" "positions"  "question" "?"  "text" "t.txt"  "unit" "line"  "rows" 7
                      "positions" ["1" "↵"]  "loss" [2.0 1.0]  "error" [0.1 0.2]
                      "floor" [1.5 0.5]  "counting" {"0" 3.0}}))
  (assert (= (lfor  line (cut lines 3 5)  (cut (.split line) 4))
             [["1" "2.0000" "±0.1000" "1.5000"] ["↵" "1.0000" "±0.2000" "0.5000"]])))

(defn test-a-counting-model-begins-where-it-has-its-context []
  (setv data {"kind" "positions"  "question" "?"  "unit" "window"  "positions" ["1" "2" "3"]
              "loss" [1 1 1]  "error" [0 0 0]  "floor" None  "counting" {"0" 5 "1" 4 "2" 3}}
        [axes] (. (figure-of data) axes)
        lines  (lfor  line axes.lines  :if (= (len (set (.get-ydata line))) 1)
                      [(get (list (.get-ydata line)) 0) (list (.get-xdata line))]))
  (assert (in [4 [1 3]] lines))
  (assert (in [3 [2 3]] lines))
  (assert (not-in 5 (lfor  [loss _] lines  loss))))

(defn test-wide-characters-fit-too []
  (setv chars (.join "" (gfor  i (range 40)  (chr (+ 0x6f22 i))))
        out   (StringIO))
  (show-data (machine (small "gpt" chars :block-size 2))
             (Console :file out :width 80 :highlight False))
  (assert (<= (max (map cell-len (.splitlines (.getvalue out)))) 80)))
