"Pictures of all kinds: in a terminal of 80 columns without colour, and as PNG and SVG."

(import  io [StringIO]
         re
         pytest
         rich.cells [cell-len]
         rich.console [Console]
         subjects [all-kinds]
         nanogpt-hy.lab.inside.inspect [show-data]
         nanogpt-hy.lab.lisp.workbench [show]
         nanogpt-hy.lab.pictures.canvas [plain]
         nanogpt-hy.lab.pictures.figures [figure-of]
         nanogpt-hy.lab.pictures.plots [save-figure]
         nanogpt-hy.lab.pictures.terminal [bar fit legend panel scatter shade thinned])

(defn [(pytest.fixture :scope "module")] kinds [tmp-path-factory]
  (all-kinds (.mktemp tmp-path-factory "kinds")))

(defn printed [data width]
  (setv out (StringIO))
  (show-data data (Console :file out :width width :highlight False))
  (.getvalue out))

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
