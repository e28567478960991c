"Pictures of what `inspect` found: plain data -> figures, for PNG and SVG.

Each has the question that it answers above it, and axes in the text's own characters."

(eval-when-compile
  (require hyrule [unless]))
(import  matplotlib [rc-context]
         matplotlib.ticker [PercentFormatter]
         nanogpt-hy.lab.data.counting [COUNTED-KINDS]
         nanogpt-hy.lab.pictures.canvas [characters figure-with plain squares tick]
         nanogpt-hy.lab.pictures.graph [draw-machine]
         nanogpt-hy.lab.pictures.plots [COLOURS FAINT INK STYLE])

(setv MOST-BARS 40)

(defn scale [figure image axes label]
  "How dark is how much, in hundredths like the numbers in the squares."
  (.colorbar figure image :ax axes :label label :shrink 0.6
             :format (PercentFormatter 1 :symbol "")))

;;; Attention

(defn draw-attention [data]
  "A column for each head, a row for each layer."
  (setv layers (get data "layers")
        tokens (get data "tokens")
        many   (max (gfor  layer layers  (len (get layer "heads"))))
        words  (* 0.09 (- (max (gfor  t tokens  (len (tick t)))) 1))     ; inches beside the squares
        side   (+ words (min 4.5 (max 1.8 (* 0.22 (len tokens)))))
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
  (scale figure image (list (.flatten grid)) "weight, %")
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
  (.set-tick-params axes.yaxis :labelsize 10)      ; each bar has room, however many they are
  (.margins axes :y 0.01)
  (.invert-yaxis axes)
  (.set-xlim axes 0 1)
  (.set-xlabel axes "probability")
  (.set-ylabel axes (+ "after " (plain (cut (get data "prompt") -16 None))))
  figure)

;;; Losses

(defn draw-positions [data]
  "Loss at each position, the floor, and counting models from where they have their context."
  (setv figure (figure-with data 6.4 4.2)
        axes (.subplots figure)
        names (get data "positions")
        first (if (= (get data "unit") "line") 0 1)       ; ticks that are characters count from 0
        places (range first (+ first (len names))))
  (.errorbar axes places (get data "loss") :yerr (get data "error") :marker "o" :label "model")
  (when (get data "floor")
    (.plot axes places (get data "floor") :color INK :linestyle "--" :label "floor"))
  (for [[k loss] (.items (get data "counting"))]
    (when (<= 1 (int k) (len names))
      (.plot axes [(get places (- (int k) 1)) (get places -1)] [loss loss] :color FAINT
             :linewidth 1 :zorder 1)
      ;; Their losses lie close together, so the names stand side by side, each upon its line and
      ;; below the model's.
      (.annotate axes f"counting {(get COUNTED-KINDS k)}" #((- 1.25 (* 0.25 (int k))) loss)
                 :xycoords #("axes fraction" "data") :fontsize 8 :ha "right" :va "center"
                 :zorder 1.5 :bbox {"facecolor" "white"  "edgecolor" "none"  "pad" 1})))
  (unless first
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
    (.annotate axes name #(1.01 loss) :xycoords #("axes fraction" "data") :va "center" :fontsize 8))
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
    (.locator-params plane :nbins 5)
    (.set-title plane (get group "what") :fontsize 10)
    (.set-xlabel plane f"{(* 100 first) :.0f} % of how they differ")
    (.set-ylabel plane f"{(* 100 second) :.0f} %")
    (setv image (.imshow table (get group "cosines") :cmap "RdBu_r" :vmin -1 :vmax 1))
    (characters table.xaxis shown)
    (characters table.yaxis shown)
    (.set-title table "cosines" :fontsize 10)
    (.colorbar figure image :ax table :shrink 0.8))
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
    (setv image (squares axes names names rows))
    (.set-title axes f"{title}, %" :fontsize 10)
    (.set-xlabel axes "comes")
    (.set-ylabel axes "after"))
  (scale figure image [left right] "%")
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
          (.bar axes (lfor  k losses  (get COUNTED-KINDS k)) (list (.values losses)) :color FAINT)
          (.set-tick-params axes.xaxis :labelsize 8)
          (.set-xlabel axes "what a counting model counts")
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
