"A small model's machine as a picture: its states on a circle, and arrows where tokens lead."

(import  math [cos pi sin]
         matplotlib.patches [Circle FancyArrowPatch]
         nanogpt-hy.lab.inside.machine [state-name]
         nanogpt-hy.lab.pictures.canvas [figure-with plain]
         nanogpt-hy.lab.pictures.plots [COLOURS FAINT INK])

(setv FEW-NODES  14         ; so many have room and are all drawn; of more, those that are not
      RARE       5e-4       ; rarer than that,
      MOST-NODES 24)        ; and no more than so many

(defn on-circle [count]
  "-> [#(x y)]: places on a circle, clockwise from the top; of many every second one further in, for
  their names are wide."
  (lfor  i (range count)
         :setv angle  (- (/ pi 2) (/ (* 2 pi i) count))
         :setv radius (if (and (> count FEW-NODES) (% i 2)) 0.8 1)
         #((* radius (cos angle)) (* radius (sin angle)))))

(defn arrow [axes start end p colour size]
  "From a state to a state or back to itself, the thicker the likelier."
  (setv style (dict :arrowstyle "-|>" :mutation-scale 9 :color colour :alpha (+ 0.25 (* 0.75 p))
                    :linewidth (+ 0.5 (* 2 p)) :shrinkA size :shrinkB size :zorder 1))
  (if (= start end)
    (.add-patch axes (Circle #((* 1.17 (get start 0)) (* 1.17 (get start 1))) 0.12 :fill False
                             :edgecolor colour :linewidth (+ 0.5 (* 2 p)) :zorder 1))
    (.add-patch axes (FancyArrowPatch start end :connectionstyle "arc3,rad=0.16" #** style))))

(defn draw-states [axes states title]
  "States on a circle, the more frequent the larger; an arrow for each token that may come."
  (setv order (or (when (> (len states) FEW-NODES)
                    (lfor  [i s] (enumerate states)  :if (>= (get s "stationary") RARE)  i))
                  (range (len states)))        ; where all are rare, too
        order (cut (sorted order :key (fn [i] (- (get states i "stationary")))) MOST-NODES)
        order (sorted order)
        place (dict (zip order (on-circle (len order))))
        font  (if (> (len order) FEW-NODES) 8 9))
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
        side   (if (> (len (get data "merged")) FEW-NODES) 8 6.4)
        figure (figure-with data (if both (+ side 4.6) side) (+ side 0.2))
        alphabet (get data "alphabet")
        grid (.subplots figure 1 (if both 2 1) :squeeze False))
  (when both
    (draw-states (get grid 0 0) (get data "states")
                 f"{(len (get data "states"))} contexts"))
  (draw-states (get grid 0 -1) (get data "merged")
               f"{(len (get data "merged"))} states, merged where they behave alike")
  (for [[t label] (enumerate (cut alphabet (len COLOURS)))]
    (.plot (get grid 0 -1) [] [] :color (get COLOURS t) :label (plain label)))
  (.legend (get grid 0 -1) :title "next token" :loc "lower right" :ncols 2)
  (.supxlabel figure (+ f"entropy rate {(get data "entropy_rate") :.4f} nats per token; "
                        "% is how often a state comes in the long run")
              :fontsize 9)
  figure)
