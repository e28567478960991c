"Pictures of what `inspect` found: plain data -> figures, for PNG and SVG.

Each has the question that it answers above it, and axes in the text's own characters."

(import  math [cos pi sin]
         textwrap
         matplotlib [rc-context]
         matplotlib.font-manager [findfont get-font]
         matplotlib.patches [Circle FancyArrowPatch]
         nanogpt-hy.lab.machine [state-name]
         nanogpt-hy.lab.plots [COLOURS FAINT INK new-figure STYLE])

(setv DARK-IS-MUCH "Blues"
      ON-DARK      "#fffffe"        ; not quite white and ink: on a dark page those are exchanged,
      ON-LIGHT     "#222223"        ; while what stands on a coloured square stays as it is
      FEW-CELLS    12               ; so many columns at most have their numbers written in
      MOST-BARS    40
      FEW-NODES    14               ; so many states are all drawn; of more, those that are not
      RARE         5e-4             ; rarer than that,
      MOST-NODES   24)              ; and no more than so many

;;; What all of them have

(defn figure-with [data width height]
  "A figure with the question above."
  (setv figure (new-figure width height)
        lines (textwrap.wrap (plain (get data "question")) (int (* width 12))))
  (.suptitle figure (.join "\n" lines) :x 0.01 :ha "left" :fontsize 11)
  figure)

(defn characters [axis labels]
  "The ticks of an axis are characters of the text."
  (axis.set-ticks (range (len labels)) :labels (list (map plain labels)))
  (.set-tick-params axis :length 0 :labelfontfamily "monospace"))

(defn plain [label]
  "str -> str: fit for matplotlib, which reads what stands between dollar signs as a formula, and
  whose font does not have every character: those become numbers."
  (setv font (get-font (findfont "DejaVu Sans Mono")))
  (.replace (.join "" (gfor  c label  (if (.get-char-index font (ord c)) c f"U+{(ord c) :04X}")))
            "$" r"\$"))

(defn squares [axes rows columns values]
  "A table of numbers from 0 to 1 as squares; those of a small table are written in them, in
  hundredths, if they are more than 0."
  (setv image (.imshow axes values :cmap DARK-IS-MUCH :vmin 0 :vmax 1 :aspect "auto"))
  (characters axes.xaxis columns)
  (characters axes.yaxis rows)
  (when (<= (len columns) FEW-CELLS)
    (for [[i row] (enumerate values)
          [j value] (enumerate row)  :if value]
      (.text axes j i f"{(* 100 value) :.0f}" :ha "center" :va "center" :fontsize 8
             :color (if (> value 0.5) ON-DARK ON-LIGHT))))
  image)

;;; Attention

(defn draw-attention [data]
  "A column for each head, a row for each layer."
  (setv layers (get data "layers")
        tokens (get data "tokens")
        many   (max (gfor  layer layers  (len (get layer "heads"))))
        side   (min 4.5 (max 1.8 (* 0.22 (len tokens))))
        figure (figure-with data (max 5.5 (+ 1.2 (* many side)))
                            (+ 1.1 (* (len layers) (+ 0.4 side))))
        grid   (.subplots figure (len layers) many :squeeze False))
  (for [[i layer] (enumerate layers)
        [j head] (enumerate (get layer "heads"))]
    (setv axes (get grid i j)
          image (squares axes tokens tokens (get head "weights")))
    (.set-title axes f"layer {(get layer "layer")} head {(get head "head")}" :fontsize 10)
    (when (= j 0) (.set-ylabel axes "who looks"))
    (when (= i (- (len layers) 1)) (.set-xlabel axes "at whom")))
  (for [[i layer] (enumerate layers)
        j (range (len (get layer "heads")) many)]
    (.set-axis-off (get grid i j)))
  (.colorbar figure image :ax (list (.flatten grid)) :label "weight" :shrink 0.6)
  figure)

;;; The next token

(defn draw-next [data]
  "Bars for the likeliest tokens: by the model, and after the filters."
  (setv before (get data "before")
        order (cut (sorted (range (len before)) :key (fn [i] (- (get before i)))) MOST-BARS)
        figure (figure-with data 6.4 (+ 1.6 (* 0.26 (len order))))
        axes (.subplots figure)
        places (range (len order))
        filtered (!= before (get data "after")))
  (.barh axes places (lfor  i order  (get before i)) :height 0.8 :label "model"
         :color (if filtered FAINT (get COLOURS 0)))
  (when filtered
    (.barh axes places (lfor  i order  (get data "after" i)) :height 0.4 :label "drawn with"
           :color (get COLOURS 0))
    (.legend axes :loc "lower right"))
  (characters axes.yaxis (lfor  i order  (get data "tokens" i)))
  (.invert-yaxis axes)
  (.set-xlim axes 0 1)
  (.set-xlabel axes "probability")
  (.set-ylabel axes (+ "after " (plain (get data "prompt"))))
  figure)

;;; Losses

(defn draw-positions [data]
  "Loss at each position, the floor, and counting models from where they have their context."
  (setv figure (figure-with data 6.4 4.2)
        axes (.subplots figure)
        names (get data "positions")
        places (range (len names)))
  (.errorbar axes places (get data "loss") :yerr (get data "error") :marker "o" :label "model")
  (when (get data "floor")
    (.plot axes places (get data "floor") :color INK :linestyle "--" :label "floor"))
  (for [[k loss] (.items (get data "counting"))]
    (when (<= 1 (int k) (len names))
      (.plot axes [(- (int k) 1) (- (len names) 1)] [loss loss] :color FAINT :linewidth 1)
      ;; Their losses lie close together, so the names stand side by side.
      (.annotate axes f"counting {(+ 1 (int k))}" #((- 1.25 (* 0.25 (int k))) loss)
                 :xycoords #("axes fraction" "data") :color FAINT :fontsize 8
                 :ha "right" :va "bottom")))
  (when (<= (len names) 32)
    (characters axes.xaxis names))
  (.set-ylim axes :bottom 0)
  (.set-xlabel axes f"position in the {(get data "unit")}")
  (.set-ylabel axes "loss, nats per token")
  (.legend axes)
  figure)

(defn draw-loss [data]
  "The curves of a run, and what they are measured by."
  (setv figure (figure-with data 6.4 4.2)
        axes (.subplots figure))
  (.plot axes (get data "steps") (get data "train") :marker "." :label "training")
  (.plot axes (get data "steps") (get data "val") :marker "." :label "validation")
  (for [[name loss] (.items (get data "yardsticks"))]
    (.axhline axes loss :color (if (= name "floor") INK FAINT) :linewidth 1
              :linestyle (if (= name "floor") "--" "-"))
    (.annotate axes name #(1 loss) :xycoords #("axes fraction" "data") :ha "right" :va "bottom"
               :fontsize 8 :color (if (= name "floor") INK FAINT)))
  (.set-ylim axes :bottom 0)
  (.set-xlabel axes "step")
  (.set-ylabel axes "loss, nats per token")
  (.legend axes)
  figure)

;;; Embeddings

(defn draw-embeddings [data]
  "For each table its plane, and its cosines."
  (setv groups (get data "groups")
        figure (figure-with data 8.6 (+ 0.8 (* 3.6 (len groups))))
        grid (.subplots figure (len groups) 2 :squeeze False))
  (for [[row group] (zip grid groups)]
    (setv [plane table] row
          [first second] (get group "shares")
          shown (cut (get group "labels") (len (get group "cosines")))
          [xs ys] (zip #* (get group "points")))
    (.plot plane xs ys :linestyle (if (= (get group "what") "positions") "-" "none")
           :color FAINT :linewidth 0.6)
    (for [[label x y] (zip (get group "labels") xs ys)]
      (.text plane x y (plain label) :ha "center" :va "center" :fontfamily "monospace"
             :fontsize 11 :color (get COLOURS 0)))
    (.margins plane 0.12)
    (.set-title plane (get group "what") :fontsize 10)
    (.set-xlabel plane f"{(* 100 first) :.0f} % of how they differ")
    (.set-ylabel plane f"{(* 100 second) :.0f} %")
    (setv image (.imshow table (get group "cosines") :cmap "RdBu_r" :vmin -1 :vmax 1))
    (if (<= (len shown) 40)
      (for [axis [table.xaxis table.yaxis]]
        (characters axis shown)
        (.set-tick-params axis :labelsize (if (> (len shown) 16) 6 9)))
      (.set-xlabel table (get group "what")))
    (.set-title table "cosines" :fontsize 10)
    (.colorbar figure image :ax table :shrink 0.8))
  figure)

;;; A machine

(defn on-circle [count radius]
  "-> [#(x y)]: places on a circle, clockwise from the top."
  (lfor  i (range count)
         :setv angle (- (/ pi 2) (/ (* 2 pi i) count))
         #((* radius (cos angle)) (* radius (sin angle)))))

(defn arrow [axes start end p colour size]
  "From a state to a state or back to itself, the thicker the likelier."
  (setv style (dict :arrowstyle "-|>" :mutation-scale 9 :color colour :alpha (+ 0.25 (* 0.75 p))
                    :linewidth (+ 0.5 (* 2 p)) :shrinkA size :shrinkB size :zorder 1))
  (if (= start end)
    (.add-patch axes (Circle #((* 1.17 (get start 0)) (* 1.17 (get start 1))) 0.12 :fill False
                             :edgecolor colour :linewidth (+ 0.5 (* 2 p)) :zorder 1))
    (.add-patch axes (FancyArrowPatch start end :connectionstyle "arc3,rad=0.16" #** style))))

(defn draw-states [axes states alphabet title]
  "States on a circle, the more frequent the larger; an arrow for each token that may come."
  (setv order (if (> (len states) FEW-NODES)
                (lfor  [i s] (enumerate states)  :if (>= (get s "stationary") RARE)  i)
                (range (len states)))
        order (cut (sorted order :key (fn [i] (- (get states i "stationary")))) MOST-NODES)
        order (sorted order)
        place (dict (zip order (on-circle (len order) 1)))
        font  (if (> (len order) 12) 8 9))
  (for [i order]
    (setv state (get states i))
    (for [[t [p to]] (enumerate (zip (get state "next") (get state "to")))]
      (when (and (>= p 0.02) (in to place))
        (arrow axes (get place i) (get place to) p (get COLOURS (% t (len COLOURS))) 14)))
    (setv [x y] (get place i)
          often (get state "stationary"))
    (.text axes x y (+ (plain (state-name state 1)) f"\n{(* 100 often) :.1f} %") :fontsize font
           :fontfamily "monospace" :ha "center" :va "center" :zorder 3
           :bbox (dict :boxstyle "round,pad=0.3" :facecolor "white"
                       :edgecolor (if (> often 0.001) INK FAINT)
                       :linewidth (+ 0.6 (* 4 often)))))
  (setv left-out (- (len states) (len order)))
  (.set-title axes (if left-out f"{title}; {left-out} rarer ones left out" title) :fontsize 10)
  (.set-xlim axes -1.45 1.45)
  (.set-ylim axes -1.4 1.4)
  (.set-aspect axes "equal")
  (.set-axis-off axes))

(defn draw-machine [data]
  "All states, if they are few, and the merged ones; a colour for each token."
  (setv both (<= (len (get data "states")) FEW-NODES)
        figure (figure-with data (if both 11 6.4) 6.6)
        alphabet (get data "alphabet")
        grid (.subplots figure 1 (if both 2 1) :squeeze False))
  (when both
    (draw-states (get grid 0 0) (get data "states") alphabet
                 f"{(len (get data "states"))} contexts"))
  (draw-states (get grid 0 -1) (get data "merged") alphabet
               f"{(len (get data "merged"))} states, merged where they behave alike")
  (for [[t label] (enumerate (cut alphabet (len COLOURS)))]
    (.plot (get grid 0 -1) [] [] :color (get COLOURS t) :label (plain label)))
  (.legend (get grid 0 -1) :title "next token" :loc "lower right" :ncols 2)
  (.supxlabel figure (+ f"entropy rate {(get data "entropy_rate") :.4f} nats per token; "
                        "% is how often a state comes in the long run")
              :fontsize 9)
  figure)

;;; Truth

(defn draw-truth [data]
  "Transitions by the truth and by the model, where the model loses, and at which positions."
  (setv figure (figure-with data 9 7.5)
        [[left right] [below last]] (.subplots figure 2 2)
        names (get data "transitions" "from")
        true (if (= (get data "against") "chain") "true" "counted"))
  (for [[axes key title] [[left "true" true] [right "model" "model"]]]
    (setv rows (lfor  row (get data "transitions" key)  (or row (* [0] (len names)))))
    (squares axes names names rows)
    (.set-title axes f"{title}, %" :fontsize 10)
    (.set-xlabel axes "comes")
    (.set-ylabel axes "after"))
  (setv lost (fn [c] (* (get c "weight") (get c "kl")))
        worst (cut (sorted (get data "contexts") :key lost :reverse True) 12))
  (.barh below (range (len worst)) (list (map lost worst)))
  (characters below.yaxis (lfor  c worst  (cut (get c "context") -16 None)))
  (.invert-yaxis below)
  (.locator-params below :axis "x" :nbins 4)
  (.set-xlabel below "KL × how often, nats per token")
  (.set-ylabel below "after")
  (draw-beside last data)
  figure)

(defn draw-beside [axes data]
  "Loss by position, if it is known, else what counting models lose."
  (setv by (.get data "by_position"))
  (cond
    by
      (do (.plot axes (get by "loss") :marker "o" :label "model")
          (.plot axes (get by "floor") :color INK :linestyle "--" :label "floor")
          (characters axes.xaxis (get by "positions"))
          (.set-xlabel axes "position in the line")
          (.set-ylabel axes "loss, nats")
          (.set-ylim axes :bottom 0)
          (.legend axes))
    (in "counting" data)
      (do (setv losses (get data "counting"))
          (.bar axes (list losses) (list (.values losses)) :color FAINT)
          (.set-xlabel axes "order of a counting model")
          (.set-ylabel axes "its loss, nats"))
    True
      (.set-axis-off axes)))

(setv DRAWINGS {"attention" draw-attention  "next" draw-next  "positions" draw-positions
                "loss" draw-loss  "embeddings" draw-embeddings  "chain" draw-machine
                "truth" draw-truth})

(defn figure-of [data]
  "plain data of any kind -> Figure"
  (with [_ (rc-context STYLE)]           ; legends and texts take their style when they are made
    ((get DRAWINGS (get data "kind")) data)))
