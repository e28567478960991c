"A small model's machine as a picture: its states on a circle, and arrows where tokens lead."

(import  collections [Counter]
         math [cos pi sin]
         matplotlib.patches [Circle FancyArrowPatch]
         nanogpt-hy.lab.inside.machine [state-name]
         nanogpt-hy.lab.pictures.canvas [figure-with plain tick]
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

(defn arrow [axes start end p colour boxes [others 0]]
  "From a state to a state, from the edge of one of their BOXES to that of the other, or back to
  itself; the thicker the likelier; beside the OTHERS that lead there from the same state."
  (setv look (dict :color colour :alpha (+ 0.25 (* 0.75 p)) :linewidth (+ 0.5 (* 2 p)) :zorder 1)
        [start-box end-box] boxes)
  (.add-patch axes
    (if (= start end)
      (Circle (lfor  x start  (* 1.17 x)) (+ 0.12 (* 0.02 others)) :fill False #** look)
      (FancyArrowPatch start end :arrowstyle "-|>" :mutation-scale 9
                       :connectionstyle f"arc3,rad={(+ 0.16 (* 0.1 others))}" :shrinkA 0 :shrinkB 2
                       :patchA start-box :patchB end-box #** look))))

(defn state-box [axes place state font]
  "The name of a STATE at its PLACE, and how often it comes; -> the box around them."
  (setv often (get state "stationary"))
  (.get-bbox-patch
    (.text axes #* place (+ (plain (state-name state 1)) f"\n{(* 100 often) :.1f} %")
           :fontsize font :fontfamily "monospace" :ha "center" :va "center" :zorder 3
           :bbox (dict :boxstyle "round,pad=0.3" :facecolor "white"
                       :edgecolor (if (> often 0.001) INK FAINT)
                       :linewidth (+ 0.6 (* 3 often))))))

(defn draw-states [axes states title]
  "States on a circle, the more frequent the bolder; an arrow for each token that may come."
  (setv order (or (when (> (len states) FEW-NODES)
                    (lfor  [i s] (enumerate states)  :if (>= (get s "stationary") RARE)  i))
                  (range (len states)))        ; where all are rare, too
        order (cut (sorted order :key (fn [i] (- (get states i "stationary")))) MOST-NODES)
        order (sorted order)
        place (dict (zip order (on-circle (len order))))
        font  (if (> (len order) FEW-NODES) 8 9)
        box   (dfor  i order  i (state-box axes (get place i) (get states i) font))
        drawn (Counter))
  (for [i order
        [t [p to]] (enumerate (zip (get states i "next") (get states i "to")))]
    (when (and (>= p 0.02) (in to place))
      (arrow axes (get place i) (get place to) p (get COLOURS (% t (len COLOURS)))
             [(get box i) (get box to)] (get drawn #(i to)))
      (+= (get drawn #(i to)) 1)))
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
  (for [[t colour] (enumerate (cut COLOURS (len alphabet)))]       ; of many tokens some share one
    (.plot (get grid 0 -1) [] [] :color colour
           :label (tick (.join " " (cut alphabet t None (len COLOURS))))))
  (.legend (get grid 0 -1) :title "next token" :loc "lower right" :ncols 2)
  (.supxlabel figure (+ f"entropy rate {(get data "entropy_rate") :.4f} nats per token; "
                        "% is how often a state comes in the long run")
              :fontsize 9)
  figure)
