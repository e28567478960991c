"Pictures of all kinds: in a terminal of 80 columns without colour, and as PNG and SVG."

(import  io [StringIO]
         re
         matplotlib.colors [to-hex to-rgb]
         pytest
         rich.cells [cell-len]
         rich.console [Console]
         subjects [all-kinds small]
         nanogpt-hy.lab.inside.inspect [show-data]
         nanogpt-hy.lab.inside.machine [machine]
         nanogpt-hy.lab.lisp.workbench [show]
         nanogpt-hy.lab.pictures.canvas [characters ON-DARK ON-LIGHT plain squares]
         nanogpt-hy.lab.pictures.figures [figure-of]
         nanogpt-hy.lab.pictures.graph [arrow draw-states on-circle]
         nanogpt-hy.lab.pictures.plots [COLOURS new-figure save-figure]
         nanogpt-hy.lab.pictures.tables [expectation matrix-lines]
         nanogpt-hy.lab.pictures.terminal [bar fit legend nearest panel scatter shade side-by-side
                                           thinned])

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

(defn test-numbers-side-by-side-are-not-one-number []
  (setv group {"labels" ["4" "25" "7" "a"]  "points" [[0 0] [0.2 0] [0.8 0] [1 0]]})
  (assert (= (scatter group 8 1) ["|4  7"]))
  (setv (get group "labels") (list "bcda"))
  (assert (= (scatter group 8 1) ["|bc da"])))

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
  (assert (= (axis-labels bars.xaxis) ["single tokens" "pairs" "triples" "runs of four"]))
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
  (assert (in "are left out: the first 3.)" (get lines 1)))
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

;;; What stands where in a drawing

(defn [pytest.fixture] axes []
  (.subplots (new-figure)))

(defn test-of-many-labels-every-second-or-third-is-shown []
  (for [[count every] [[40 1] [41 2] [80 2] [81 3]]]
    (setv axes (.subplots (new-figure))
          labels (lfor  i (range count)  (chr (+ 0x100 i))))
    (characters axes.xaxis labels)
    (assert (= (list (.get-xticks axes)) (list (range 0 count every))))
    (assert (= (axis-labels axes.xaxis) (cut labels None None every)))))

(defn test-only-whole-words-stand-upright []
  (for [[label turn] [["ab" 0] ["abc" 90]]]
    (setv axes (.subplots (new-figure)))
    (for [axis [axes.xaxis axes.yaxis]]
      (characters axis [label label]))
    (assert (= turn (.get-rotation (get (.get-ticklabels axes.xaxis) 0))))
    (assert (= 0 (.get-rotation (get (.get-ticklabels axes.yaxis) 0))))))

(defn test-labels-do-not-run-into-each-other []
  "Two digits many times, and what becomes a number because the font does not have it."
  (for [labels [(lfor  i (range 1 33)  f"{i}")  (* ["\u6f22" "a"] 8)]]
    (setv axes (.subplots (new-figure 3.5 2.5)))
    (characters axes.xaxis labels)
    (.draw-without-rendering axes.figure)
    (setv boxes (lfor  t (.get-ticklabels axes.xaxis)  (.get-window-extent t)))
    (for [[a b] (zip boxes (cut boxes 1 None))]
      (assert (not (.overlaps (.padded a -1) b))))))

(defn test-of-a-long-label-the-middle-is-left-out []
  (for [[label shown] [["abcdefghijklmnop" "abcdefghijklmnop"]
                       ["abcdefghijklmnopq" "abcdefg…jklmnopq"]
                       ["$$$$$$$$$$$$$$$$$" (+ (* r"\$" 7) "…" (* r"\$" 8))]
                       ["漢漢漢" "U+6F22U…22U+6F22"]]]
    (setv axes (.subplots (new-figure)))
    (characters axes.yaxis [label])
    (assert (= (axis-labels axes.yaxis) [shown]))))

(defn test-attention-of-long-tokens-leaves-the-squares-their-room [tmp-path recwarn]
  (setv heads  (lfor  n [1 2 3 4]  {"head" n  "weights" [[1 0] [0.5 0.5]]})
        layers (lfor  n [1 2 3 4]  {"layer" n  "heads" heads}))
  (defn width-of [token]
    (setv figure (figure-of {"kind" "attention"  "question" "?"  "tokens" [token token]
                             "layers" layers}))
    (save-figure figure (/ tmp-path "x.png"))
    (. (.get-window-extent (get figure.axes 0)) width))
  (assert (> (width-of (* "漢" 20)) (* 0.8 (width-of "a"))))
  (assert (= (lfor  w recwarn  (str w.message)) [])))

(defn test-a-small-table-has-its-hundredths-in-it [axes]
  (squares axes ["a" "b"] ["c" "d"] [[0 0.25] [1 0.5]])
  (assert (= (lfor  t axes.texts  [(.get-position t) (.get-text t) (.get-color t)])
             [[#(1 0) "25" ON-LIGHT] [#(0 1) "100" ON-DARK] [#(1 1) "50" ON-LIGHT]])))

(defn luminance [colour]
  "A colour -> 0 to 1, as https://www.w3.org/TR/WCAG21/#dfn-relative-luminance has it."
  (sum (gfor  [share c] (zip [0.2126 0.7152 0.0722] (to-rgb colour))
              (* share (if (<= c 0.04045) (/ c 12.92) (** (/ (+ c 0.055) 1.055) 2.4))))))

(defn test-numbers-can-be-read-on-every-square [axes]
  (setv image (squares axes ["a"] (list "abcdefghij") [(lfor  i (range 1 11)  (/ i 10))]))
  (for [text axes.texts]
    (setv square (image.cmap (image.norm (/ (int (.get-text text)) 100)))
          [dark light] (sorted (map luminance [(cut square 3) (.get-color text)])))
    (assert (>= (/ (+ light 0.05) (+ dark 0.05)) 3.9) (.get-text text))))

(defn test-a-large-table-has-no-numbers-in-it [axes]
  (squares axes ["a"] (* ["b"] 13) [(* [0.5] 13)])
  (assert (= (len axes.texts) 0)))

(defn test-the-darkest-square-would-be-a-1 [axes]
  (assert (= (.get-clim (squares axes ["a"] ["b" "c"] [[0.1 0.2]])) #(0 1))))

(defn test-the-scale-counts-in-hundredths-as-the-squares-do [kinds]
  (for [[data place] [[(get kinds 0) -1] [(get kinds 7) 4]]]
    (setv figure (figure-of data))
    (.draw-without-rendering figure)
    (assert (= (axis-labels (. (get figure.axes place) yaxis)) ["0" "20" "40" "60" "80" "100"]))))

(defn title-of [axes]
  (.get-title axes :loc "left"))

(defn test-every-head-has-its-name-and-the-outer-ones-their-axes [kinds]
  (assert (= (lfor  axes (cut (axes-of (get kinds 0)) 4)
                    [(title-of axes) (.get-ylabel axes) (.get-xlabel axes)])
             [["layer 1 head 1" "who looks" ""]         ["layer 1 head 2" "" ""]
              ["layer 2 head 1" "who looks" "at whom"]  ["layer 2 head 2" "" "at whom"]])))

(defn next-of [count]
  "Plain data of COUNT tokens, the last one the likeliest."
  (setv p (lfor  i (range count)  (/ i 1000)))
  {"kind" "next"  "question" "?"  "prompt" "0123456789abcdefghij"  "before" p  "after" p
   "tokens" (lfor  i (range count)  (chr (+ 0x100 i)))})

(defn test-the-forty-likeliest-have-bars-the-first-at-the-top []
  (setv [axes] (axes-of (next-of 50)))
  (assert (= (widths axes) (lfor  i (range 49 9 -1)  (/ i 1000))))
  (assert (.yaxis-inverted axes))
  (assert (= (.get-xlim axes) #(0 1))))

(defn test-bars-stand-after-the-end-of-the-prompt []
  (setv [axes] (axes-of (next-of 2)))
  (assert (= (.get-ylabel axes) "after 456789abcdefghij")))

(defn positions-of [unit names]
  (setv count (len names))
  {"kind" "positions"  "question" "?"  "unit" unit  "positions" names  "loss" (* [2] count)
   "error" (* [0.25] count)  "floor" (* [1] count)  "counting" {"1" 3}})

(defn test-positions-have-their-errors-and-their-floor []
  (setv [axes] (axes-of (positions-of "window" ["1" "2"]))
        [_ _ [bars]] (get axes.containers 0)
        floor (get (lfor  line axes.lines  :if (= (.get-label line) "floor")  line) 0))
  (assert (= (lfor  bar (.get-segments bars)  (.tolist bar))
             [[[1 1.75] [1 2.25]] [[2 1.75] [2 2.25]]]))
  (assert (= (list (.get-ydata floor)) [1 1])))

(defn test-a-counting-model-is-named-by-what-it-counts []
  (setv [axes] (axes-of (positions-of "window" ["1" "2"])))
  (assert (= (lfor  t axes.texts  (.get-text t)) ["counting pairs"])))

(defn test-a-name-hides-no-curve-and-no-line-strikes-a-name-through []
  (setv [axes] (axes-of (positions-of "window" ["1" "2"]))
        [name] axes.texts
        model  (get axes.lines 0)
        [counting] (lfor  line axes.lines  :if (= (list (.get-ydata line)) [3 3])  line))
  (assert (< (.get-zorder counting) (.get-zorder name) (.get-zorder model))))

(defn test-the-losses-of-a-run-stand-above-0-and-beside-level-lines []
  (setv [axes] (axes-of {"kind" "loss"  "question" "?"  "steps" [0 1]  "train" [3 2]  "val" [3 2]
                         "yardsticks" {"floor" 1.5  "counting pairs" 2.5}}))
  (assert (= 0 (get (.get-ylim axes) 0)))
  (assert (= (lfor  line (cut axes.lines 2 None)  [(list (.get-ydata line)) (.get-linestyle line)])
             [[[1.5 1.5] "--"] [[2.5 2.5] "-"]])))

(defn test-no-curve-runs-through-the-name-of-a-level-line []
  (setv [axes] (axes-of {"kind" "loss"  "question" "?"  "steps" [0 1]  "train" [3 1.5]
                         "val" [3 1.5]  "yardsticks" {"floor" 1.5}}))
  (.draw-without-rendering axes.figure)
  (assert (not (.overlaps (.get-window-extent axes) (.get-window-extent (get axes.texts 0))))))

(defn test-the-numbers-below-a-plane-stand-apart []
  (setv [plane _ _] (axes-of {"kind" "embeddings"  "question" "?"
                              "groups" [{"what" "tokens"  "labels" ["a" "b"]  "shares" [1 0]
                                         "points" [[-0.06 -0.05] [0.086 0.07]]
                                         "cosines" [[1 0] [0 1]]}]}))
  (.draw-without-rendering plane.figure)
  (setv boxes (lfor  t (.get-ticklabels plane.xaxis)  (.get-window-extent t)))
  (for [[a b] (zip boxes (cut boxes 1 None))]
    (assert (not (.overlaps a b)))))

(defn test-a-plane-has-the-shares-of-its-axes-and-a-path-of-positions []
  (defn group [what]
    {"what" what  "labels" ["a" "b"]  "shares" [0.7 0.2]  "points" [[0 0] [1 1]]
     "cosines" [[1 0.5] [0.5 1]]})
  (setv axes (axes-of {"kind" "embeddings"  "question" "?"
                       "groups" [(group "tokens") (group "positions")]}))
  (assert (= (lfor  plane [(get axes 0) (get axes 2)]
                    [(title-of plane) (.get-xlabel plane) (.get-ylabel plane)
                     (.get-linestyle (get plane.lines 0))])
             [["tokens" "70 % of how they differ" "20 %" "None"]
              ["positions" "70 % of how they differ" "20 %" "-"]]))
  (assert (= (.get-clim (get (. (get axes 1) images) 0)) #(-1 1))))

(defn test-a-truth-is-true-or-counted [kinds]
  (for [[i word] [[7 "true"] [8 "counted"]]]
    (setv axes (get (axes-of (get kinds i)) 0))
    (assert (= [(title-of axes) (.get-xlabel axes) (.get-ylabel axes)]
               [f"{word}, %" "comes" "after"]))))

(defn test-the-loss-of-each-position-stands-above-its-floor [kinds]
  (setv axes (get (axes-of (get kinds 7)) 3))
  (assert (= (lfor  line axes.lines  [(.get-label line) (list (.get-ydata line))])
             (lfor  [label key] [["model" "loss"] ["floor" "floor"]]
                    [label (get kinds 7 "by_position" key)]))))

;;; A drawn machine

(defn state [name often [next [1.0]] [to [0]]]
  {"context" name  "stationary" often  "next" next  "to" to})

(defn test-of-more-than-fourteen-every-second-stands-further-in []
  (for [[count inner] [[14 0] [15 7]]]
    (assert (= inner (len (lfor  [x y] (on-circle count)  :if (< (+ (* x x) (* y y)) 0.9)  x))))))

(defn test-only-what-leads-elsewhere-is-an-arrow [axes]
  (arrow axes #(0 1) #(0 1) 0.5 "red" [None None])
  (arrow axes #(0 1) #(1 0) 0.5 "red" [None None])
  (assert (= (lfor  patch axes.patches  (. (type patch) __name__)) ["Circle" "FancyArrowPatch"])))

(defn test-no-arrow-hides-another [axes]
  "Where several tokens lead from one state to the same one."
  (draw-states axes [(state "a" 0.5 [0.5 0.5] [1 1]) (state "b" 0.5 [0.5 0.5] [1 1])] "")
  (setv [arrow-a arrow-b loop-a loop-b] axes.patches
        width (fn [patch] (. (.get-extents (.get-path patch)) width)))
  (assert (> (- (width arrow-b) (width arrow-a)) 0.05))
  (assert (> (- loop-b.radius loop-a.radius) 0.01)))

(defn [(pytest.mark.parametrize "name" ["a" "a long name"])] test-no-box-hides-an-arrow [axes name]
  (draw-states axes (lfor  i (range 4)  (state name 0.25 [1.0] [(% (+ i 1) 4)])) "")
  (.draw-without-rendering axes.figure)
  (setv boxes (lfor  text axes.texts  (.padded (.get-window-extent (.get-bbox-patch text)) -2)))
  (assert (= 4 (len axes.patches)))
  (for [patch axes.patches
        tip (.transform axes.transData (. (.get-path patch) vertices))]
    (assert (not (any (gfor  box boxes  (.contains box #* tip)))))))

(defn test-what-hardly-comes-has-no-arrow-and-each-token-a-colour [axes]
  (draw-states axes [(state "a" 1.0 [0.5 0.48 0.02 0.01] [0 0 0 0])] "")
  (assert (= (lfor  patch axes.patches  (to-hex (.get-edgecolor patch)))
             (lfor  colour (cut COLOURS 3)  (.lower colour)))))

(defn test-the-legend-has-every-token-whose-colour-it-is []
  (setv states (lfor  t (range 8)  (state (get "abcdefgh" t) 0.125 (* [0.125] 8) (list (range 8))))
        merged (lfor  s states  (| s {"contexts" [(get s "context")]}))
        [_ axes] (axes-of {"kind" "chain"  "question" "?"  "alphabet" (list "abcdefgh")
                           "states" states  "merged" merged  "entropy_rate" 1}))
  (assert (= (lfor  text (.get-texts (.get-legend axes))  (.get-text text))
             ["a g" "b h" "c" "d" "e" "f"])))

(defn test-a-state-has-its-share-in-percent [axes]
  (draw-states axes [(state "a" 0.25) (state "b" 0.75)] "two")
  (assert (= (lfor  t axes.texts  (.get-text t)) ["a\n25.0 %" "b\n75.0 %"]))
  (assert (= (.get-title axes) "two")))

(defn test-rare-states-of-many-are-left-out [axes]
  (draw-states axes [#* (* [(state "a" 0.06)] 16) (state "b" 0.0004)] "many")
  (assert (= (len axes.texts) 16))
  (assert (= (.get-title axes) "many; 1 rarer ones left out")))

(defn test-states-that-are-all-rare-are-drawn [axes]
  (draw-states axes (* [(state "a" 0.0004)] 2048) "all")
  (assert (= (len axes.texts) 24)))

(defn test-the-most-frequent-states-are-drawn-if-there-are-too-many [axes]
  (draw-states axes (lfor  i (range 30)  (state f"{i}" (/ (+ i 1) 465))) "many")
  (assert (= (lfor  t axes.texts  (get (.split (.get-text t)) 0)) (lfor  i (range 6 30)  f"{i}"))))

(defn test-fourteen-contexts-are-drawn-beside-the-merged-states []
  (setv merged {"contexts" ["a"]  "stationary" 1.0  "next" [1.0]  "to" [0]})
  (for [[count pictures] [[14 2] [15 1]]]
    (assert (= pictures (len (axes-of {"kind" "chain"  "question" "?"  "alphabet" ["a"]
                                       "entropy_rate" 0.5  "merged" [merged]
                                       "states" (* [(state "a" 0.05)] count)}))))))

;;; What stands where in a terminal

(defn test-words-are-no-wider-than-100-columns []
  (setv lines (.splitlines (printed {"kind" "next"  "question" (* "why? " 60)  "tokens" ["a"]
                                     "before" [1.0]  "after" [1.0]  "entropy" 0.0} 150)))
  (assert (<= 96 (len (get lines 0)) 100)))

(defn test-two-dots-need-room-for-a-letter []
  (assert (= (lfor  width [1 2 3]  (fit "abcdef" width)) ["a" "ab" "a.."])))

(defn test-shades-mean-what-they-say []
  (assert (= (legend) "   [ ] 0-5 %   [░] 5-20 %   [▒] 20-40 %   [▓] 40-70 %   [█] 70-100 %"))
  (assert (= (lfor  level [0.05 0.2 0.4 0.7]  (shade level)) (list "░▒▓█"))))

(defn test-a-mark-at-the-end-is-in-the-bar []
  (assert (= (bar 1 2 4 2) "██ |")))

(defn test-as-many-stand-side-by-side-as-fit []
  (assert (= (side-by-side [["ab"] ["cd"]] 7) ["ab   cd" ""]))
  (assert (= (side-by-side [["ab"] ["cd"]] 6) ["ab" "" "cd" ""])))

(defn test-one-head-alone-has-its-numbers []
  (setv head {"head" 1  "weights" [[1.0 0.0] [0.25 0.75]]})
  (for [[heads row] [[[head] "b ▒▒ 25██ 75"] [[head head] "b ▒▒██           b ▒▒██"]]]
    (assert (in row (shown {"kind" "attention"  "question" "?"  "tokens" ["a" "b"]
                            "layers" [{"layer" 1  "heads" heads}]})))))

(defn test-what-the-filters-leave-stands-beside-what-the-model-says []
  (setv lines (shown {"kind" "next"  "question" "?"  "tokens" ["a" "b"]  "before" [0.25 0.75]
                      "after" [0.0 1.0]  "entropy" 0.5}))
  (assert (= (get lines 2) "     model  drawn"))
  (assert (= (get lines 3) (+ "b   75.0 % 100.0 %  " (bar 1 1 57 0.75))))
  (assert (= (get lines 4) (.rstrip (+ "a   25.0 %     cut  " (bar 0 1 57 0.25)))))
  (assert (in "the | what the model says" (get lines 6))))

(defn test-the-longest-bar-ends-before-the-terminal-does []
  (for [after [[1.0 0.0] [0.9 0.1]]]
    (assert (<= 76 (max (map len (shown {"kind" "next"  "question" "?"  "tokens" ["a" "b"]
                                        "before" [1.0 0.0]  "after" after  "entropy" 0.5})))
                80))))

(defn test-tokens-beyond-forty-are-counted-together []
  (setv p (* [0.02] 50))
  (assert (in "and 10 more, together 20.0 %"
              (shown {"kind" "next"  "question" "?"  "tokens" (* ["a"] 50)  "before" p  "after" p
                      "entropy" 0.5}))))

(defn test-runs-are-named-by-their-length []
  (setv lines (shown (| (positions-of "line" ["1"])
                        {"rows" 7  "text" "t.txt"  "error" [0.1]
                         "counting" {"0" 4  "1" 3  "2" 2  "3" 1}})))
  (assert (in (+ "single tokens 4.0000, pairs 3.0000, triples 2.0000, runs of four 1.0000 nats per "
                 "token.")
              (.join " " lines)))
  (assert (in "The | is the floor." (.join " " lines))))

(defn test-the-floor-of-a-run-is-in-its-bars []
  (setv lines (shown {"kind" "loss"  "question" "?"  "steps" [0]  "train" [3.0]  "val" [4.0]
                      "yardsticks" {"floor" 2.0}}))
  (assert (= (.index (cut (get lines 3) 32 None) "|") 24)))

(defn test-the-later-of-two-in-one-place-gives-way []
  (assert (= (scatter {"labels" ["ab" "cd" "e"]  "points" [[0 0] [0.2 0] [1 0]]} 8 1)
             ["|ab  e"])))

(defn test-more-than-twelve-have-a-higher-plane []
  (for [[count height] [[12 9] [13 18]]]
    (setv lines (shown {"kind" "embeddings"  "question" "?"
                        "groups" [{"what" "tokens"  "labels" (* ["a"] count)  "shares" [0.5 0.5]
                                   "points" (lfor  i (range count)  [i i])
                                   "cosines" (* [(* [1.0] count)] count)}]}))
    (assert (= height (len (lfor  line lines  :if (.startswith line "|")  line))))))

(defn test-vectors-beyond-forty-are-counted []
  (setv lines (shown {"kind" "embeddings"  "question" "?"
                      "groups" [{"what" "tokens"  "labels" (* ["a"] 43)  "shares" [0.5 0.5]
                                 "points" (lfor  i (range 43)  [i i])
                                 "cosines" (* [(* [1.0] 43)] 43)}]}))
  (assert (in "and 3 more" lines))
  (assert (in "     a  a +1.00   a +1.00" (.join "" lines)))
  (assert (not-in "a +1.00   a +1.00   a +1.00" (.join "" lines))))

(defn chain-of [states [alphabet ["a"]]]
  {"kind" "chain"  "question" "?"  "alphabet" alphabet  "entropy_rate" 0.5  "tolerance" 0.02
   "states" states  "merged" [{"contexts" ["m"]  "stationary" 1.0  "next" [1.0]  "to" [0]}]})

(defn test-states-beyond-twenty-four-are-counted []
  (for [[count more] [[24 None] [30 6]]]
    (setv lines (shown (chain-of (* [(state "s" 0.01)] count))))
    (assert (= (lfor  line lines  :if (in "less often" line)  line)
               (if more [f"       and {more} more, which come less often"] [])))))

(defn test-a-long-context-is-cut-to-28-columns []
  (setv lines (shown (chain-of [(state (* "s" 40) 1.0)])))
  (assert (in (+ "       " (* "s" 26) "..    100.0  a 100.0") lines)))

(defn test-a-row-of-a-state-is-as-long-as-fits []
  (setv count 20
        lines (shown (chain-of [(state "s" 1.0 (* [0.05] count))] (* ["a"] count)))
        row   (get lines 4))
  (assert (= (.count row "a 5.0") 8))
  (assert (<= (len row) 80)))

(defn truth-of [contexts #** more]
  (| {"kind" "truth"  "against" "chain"  "question" "?"  "chars" ["a" "b"]  "share" 1.0  "kl" 1.1
      "floor" 0.5  "loss" 1.6  "transitions" {"from" ["a"]  "true" [[1.0]]  "model" [[1.0]]}
      "contexts" (lfor  c contexts  {"context" c  "weight" 0.1  "kl" 1.0  "true" [0.25 0.75]
                                     "model" [0.6 0.4]})}
     more))

(defn test-sixteen-contexts-are-shown []
  (setv lines (shown (truth-of (* ["xyz"] 20))))
  (assert (= 16 (len (lfor  line lines  :if (.startswith line "xyz ")  line))))
  (assert (in "The contexts at which most is lost, 16 of 20." lines)))

(defn test-it-is-said-if-contexts-are-left-out []
  (assert (in "over the 95.0 % likeliest contexts" (.join " " (shown (truth-of "a" :share 0.95))))))

(defn test-as-many-transitions-as-fit []
  (setv names (list "abcdefghij")
        rows  (* [(* [0.1] 10)] 10)
        lines (matrix-lines {"transitions" {"from" names  "true" rows  "model" rows}} 80 "true"))
  (assert (= (.split (get lines 1)) (* (cut names 6) 2)))
  (assert (<= (max (map len lines)) 80)))

(defn test-positions-that-were-not-reached-have-no-row []
  (setv lines (shown (truth-of "a" :by-position {"positions" ["1" "2"]  "loss" [2.0 None]
                                                 "floor" [1.0 0.5]}))
        start (.index lines "position     loss    floor"))
  (assert (= (cut lines (+ start 1) None)
             [(+ "       1   2.0000   1.0000  " (* "█" 26) "|" (* "█" 25))])))
