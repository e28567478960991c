"Pictures in a terminal: what `inspect` found, in characters, at 80 columns and without colour.

Each function takes the plain data of one kind and a rich Console, whose width it keeps to."

(eval-when-compile
  (require hyrule [-> unless]))
(import  textwrap
         rich.cells [cell-len set-cell-size]
         rich.text [Text]
         nanogpt-hy.lab.data.counting [COUNTED-KINDS])

(setv SHADES  " ░▒▓█"
      LEVELS  [0.05 0.2 0.4 0.7]      ; where one shade ends and the next begins
      EIGHTHS " ▏▎▍▌▋▊▉"
      MOST-ROWS 40)                   ; of one table

;;; Lines

(defn say [console [text ""] [style ""]]
  "str -> None: one line."
  (.print console (Text text :style style) :soft-wrap True))

(defn say-wrapped [console text [style ""]]
  "str -> None: as many lines as it needs."
  (for [line (textwrap.wrap text (min console.width 100))]
    (say console line style)))

(defn fit [text width [right False]]
  "str -> str: exactly so many columns wide; what is cut off leaves two dots."
  (setv spare (- width (cell-len text)))
  (cond
    (and (< spare 0) (> width 2)) (+ (set-cell-size text (- width 2)) "..")
    (< spare 0) (set-cell-size text width)
    right (+ (* " " spare) text)
    True (+ text (* " " spare))))

(defn shade [value]
  "0 to 1 -> a character: the fuller the more."
  (get SHADES (sum (gfor  level LEVELS  (>= value level)))))

(defn legend []
  "What the shades mean."
  (+ "   " (.join "   " (gfor  [mark low high] (zip SHADES [0 #* LEVELS] [#* LEVELS 1])
                               f"[{mark}] {(* 100 low) :.0f}-{(* 100 high) :.0f} %"))))

(defn bar [value most width [mark None]]
  "0 to MOST -> str of WIDTH columns: a bar, and a | at MARK."
  (setv most (or most 1)
        eighths (round (* 8 width (min 1 (max 0 (/ value most)))))
        [full part] (divmod eighths 8)
        text (set-cell-size (+ (* "█" full) (if part (get EIGHTHS part) "")) width))
  (when (is mark None)
    (return text))
  (setv place (min (- width 1) (int (* width (/ mark most)))))
  (+ (cut text place) "|" (cut text (+ place 1) None)))

(defn percent [p]
  "0 to 1 -> str: of a hundred  ; (percent 0.5) => '50.0'"
  f"{(* 100 p) :.1f}")

(defn heading [data console]
  "The question that the picture answers."
  (say-wrapped console (get data "question") "bold")
  (when (.get data "left_out")
    (say-wrapped console (+ "(Tokens of the prompt outside of the context are left out: the first "
                            f"{(get data "left_out")}.)")))
  (say console))

;;; Attention

(defn panel [title tokens weights room numbers]
  "-> [str]: one head, a row for each token, with columns 1, 2 or (with NUMBERS) 5 wide."
  (setv left  (max 1 (min 6 (max (map cell-len tokens))))
        width (next (gfor  w [(if numbers 5 2) 2 1]
                           :if (<= (+ left 1 (* w (len tokens))) room)
                           w)
                    1)
        seen  (min (len tokens) (// (- room left 1) width))      ; the last ones, if not all fit
        from  (- (len tokens) seen)
        short (fn [label] (fit (if (> (cell-len label) width) (cut label 1) label) width))
        cell  (fn [w] (cond
                (= width 1) (shade w)
                (= width 2) (* 2 (shade w))
                True        f"{(* 2 (shade w))}{(* 100 w) :>3.0f}")))
  [title
   (+ (* " " (+ left 1)) (.join "" (gfor  t (cut tokens from None)  (short t))))
   #* (lfor  [i t] (enumerate tokens)  :if (>= i from)
             (+ (fit t left True) " "
                (.join "" (gfor  [j w] (enumerate (get weights i))  :if (>= j from)
                                 (if (> j i) (* " " width) (cell w))))))])

(defn side-by-side [panels width]
  "[[str]] -> [str]: as many in a row as fit."
  (setv lines []
        each  (max (gfor  p panels  line p  (cell-len line)))
        many  (max 1 (// (+ width 3) (+ each 3))))
  (for [start (range 0 (len panels) many)]
    (.extend lines (gfor  row (zip #* (cut panels start (+ start many)))
                          (.rstrip (.join "   " (gfor  line row  (fit line each))))))
    (.append lines ""))
  lines)

(defn show-attention [data console]
  (heading data console)
  (setv heads (lfor  layer (get data "layers")  head (get layer "heads")  #(layer head))
        panels (lfor  [layer head] heads
                      (panel f"layer {(get layer "layer")} head {(get head "head")}"
                             (get data "tokens") (get head "weights") console.width
                             (= (len heads) 1))))
  (for [line (side-by-side panels console.width)]
    (say console line))
  (say console (legend)))

;;; The next token

(defn show-next [data console]
  (heading data console)
  (setv filtered (!= (get data "before") (get data "after"))
        order (sorted (range (len (get data "tokens")))
                      :key (fn [i] (- (get data "before" i))))
        name-width (min 12 (max (gfor  t (get data "tokens")  (cell-len t))))
        room (- console.width name-width (if filtered 22 12)))
  (when filtered
    (say console (+ (fit "" name-width) "    model  drawn")))
  (for [i (cut order MOST-ROWS)]
    (setv p (get data "before" i)
          q (get data "after" i)
          numbers (if filtered f"  {(percent p) :>5} %{(if q f"{(percent q) :>6} %" "     cut")}  "
                              f"  {(percent p) :>5} %  "))
    (say console (.rstrip (+ (fit (get data "tokens" i) name-width True) numbers
                             (bar q 1 room (when filtered p))))))
  (setv more (lfor  i (cut order MOST-ROWS None)  (get data "before" i)))
  (when more
    (say console f"and {(len more)} more, together {(percent (sum more))} %"))
  (say console)
  (when filtered
    (say-wrapped console "The bar is what is drawn with, the | what the model says."))
  (say console f"entropy {(get data "entropy") :.4f} nats"))

;;; Losses

(defn show-positions [data console]
  (heading data console)
  (setv floor (get data "floor")
        most  (max (get data "loss"))
        room  (- console.width (if floor 37 28)))
  (say console f"{"position":>8}  {"loss":>7}  {"":>8}  {(if floor "floor" ""):>7}")
  (for [i (thinned (range (len (get data "loss"))))]
    (setv [name loss error] (lfor  key ["positions" "loss" "error"]  (get data key i))
          least (when floor (get floor i)))
    (say console (.rstrip (+ f"{name :>8}  {loss :7.4f}  ±{error :.4f}  "
                             (if floor f"{least :7.4f}  " "")
                             (bar loss most room least)))))
  (say console)
  (say-wrapped console (+ (if floor "The | is the floor. " "")
                          f"Means of {(get data "rows") :,} {(get data "unit")}s of "
                          f"{(get data "text")}. "
                          (counted data))))

(defn counted [data]
  "What counting models lose, in words."
  (+ "Counting loses: "
     (.join ", " (gfor  [k loss] (.items (get data "counting"))
                        f"{(get COUNTED-KINDS k)} {loss :.4f}"))
     " nats per token."))

(defn thinned [things [most MOST-ROWS]]
  "At most so many of a list, evenly spread, the last one among them."
  (if (<= (len things) most)
    things
    (lfor  i (range most)  (get things (round (/ (* i (- (len things) 1)) (- most 1)))))))

(defn show-loss [data console]
  (heading data console)
  (setv marks (get data "yardsticks")
        rows (thinned (list (zip (get data "steps") (get data "train") (get data "val"))))
        most (max (gfor  [_ t v] rows  v))
        room (- console.width 32))
  (say console f"{"step":>8}  {"train":>8}  {"validation":>10}")
  (for [[step train val] rows]
    (say console (.rstrip (+ f"{step :>8,}  {train :8.4f}  {val :10.4f}  "
                             (bar val most room (.get marks "floor"))))))
  (say console)
  (for [[name loss] (.items marks)]
    (say console f"{name :<14}  {loss :.4f}{(if (= name "floor") "  |" "")}")))

;;; Embeddings

(defn scatter [group width height]
  "dict -> [str]: labels where their points lie; the later of two in one place gives way. Words and
  numbers keep apart, lest 4 and 25 read 425."
  (setv points (get group "points")
        gap (if (> (max (map cell-len (get group "labels"))) 1) 1 0)
        grid (lfor  _ (range height)  (* [" "] width)))
  (defn place [axis size]
    (setv xs (lfor  p points  (get p axis))
          [low high] [(min xs) (max xs)])
    (lfor  x xs  (if (> high low) (round (* (- size 1) (/ (- x low) (- high low)))) (// size 2))))
  (for [[label x y] (zip (get group "labels") (place 0 (- width 3)) (place 1 height))]
    (setv row (get grid (- height 1 y))
          end (+ x (cell-len label)))
    (when (all (gfor  spot (cut row (max 0 (- x gap)) (+ end gap))  (= spot " ")))
      (setv (cut row x end) [label #* (* [""] (- end x 1))])))
  (lfor  row grid  (+ "|" (.rstrip (.join "" row)))))

(defn nearest [group i [count 3]]
  "dict, row -> str: the labels whose vectors point most nearly the same way."
  (setv cosines (get group "cosines" i)
        order (sorted (range (len cosines)) :key (fn [j] (- (get cosines j)))))
  (.join "   " (gfor  j (cut (lfor  j order  :if (!= i j)  j) count)
                      f"{(get group "labels" j)} {(get cosines j) :+.2f}")))

(defn show-plane [group console]
  "A table's vectors as points, below the two axes' shares."
  (setv shares (.join " and " (gfor  s (get group "shares")  f"{(percent s)} %"))
        width (min 64 (- console.width 2)))
  (say-wrapped console f"{(get group "what")}: the plane shows {shares} of how they differ" "bold")
  (for [line (scatter group width (if (> (len (get group "labels")) 12) 18 9))]
    (say console line))
  (say console (+ "+" (* "-" width))))

(defn show-neighbours [group console]
  "For each of a table's vectors those that are nearest, in columns."
  (setv labels (get group "labels")
        lines (lfor  i (range (min (len (get group "cosines")) MOST-ROWS))
                     [(+ (fit (get labels i) 6 True) "  " (nearest group i 2))]))
  (say console "\nnearest, by cosine:")
  (for [line (side-by-side lines console.width)  :if line]
    (say console line))
  (when (> (len labels) (len lines))
    (say console f"and {(- (len labels) (len lines))} more"))
  (say console))

(defn show-embeddings [data console]
  (heading data console)
  (for [group (get data "groups")]
    (show-plane group console)
    (show-neighbours group console)))
