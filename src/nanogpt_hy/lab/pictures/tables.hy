"More pictures in a terminal, those that are tables: a machine's states, and the model's truth."

(import  math [isclose]
         rich.cells [cell-len]
         nanogpt-hy.lab.inside.machine [state-name]
         nanogpt-hy.lab.pictures.terminal [bar counted fit heading percent say say-wrapped])

(setv MOST-STATES   24      ; rows of a machine's table
      MOST-CONTEXTS 16)     ; rows of the truth's

;;; A machine

(defn expectation [alphabet next room * [to None] [least 0.005]]
  "[str] [p] -> str: what comes next, the likeliest first, and the number of the state TO which it
  leads  ; 'b 50.1>2  a 49.9>1'"
  (setv order (sorted (range (len next)) :key (fn [i] (- (get next i))))
        leads (fn [i] (if (is to None) "" f">{(+ 1 (get to i))}"))
        cells (lfor  i order  :if (>= (get next i) least)
                     f"{(get alphabet i)} {(percent (get next i))}{(leads i)}"))
  (while (> (cell-len (.join "  " cells)) room)
    (setv cells (cut cells -1)))
  (.join "  " cells))

(defn state-rows [alphabet rows arrows console]
  "Lines, one for each #(number state): its context, how often it comes, what comes next, and, where
  ARROWS are wanted, into which state that leads."
  (setv names (lfor  [_ state] rows  (state-name state))
        wide (min 28 (max 8 (max (map cell-len names))))
        room (- console.width wide 18))
  (say console (+ (if arrows "  no.  " "       ") (fit "context" wide) "  often %  next, in %"
                  (if arrows " > into state" "")))
  (for [[name [n state]] (zip names rows)]
    (say console (+ (if arrows f"{(+ n 1) :>5}  " "       ") (fit name wide)
                    f"  {(percent (get state "stationary")) :>7}  "
                    (expectation alphabet (get state "next") room
                                 :to (when arrows (get state "to")))))))

(defn show-machine [data console]
  (heading data console)
  (for [[key title] [["states" "contexts"] ["merged" "states, those that behave alike merged"]]]
    (setv states (get data key)
          rows (sorted (enumerate states) :key (fn [row] (- (get row 1 "stationary")))))
    (say console f"{(len states) :,} {title}:" "bold")
    (state-rows (get data "alphabet") (cut rows MOST-STATES) (= key "merged") console)
    (when (> (len rows) MOST-STATES)
      (say console f"       and {(- (len rows) MOST-STATES)} more, which come less often"))
    (say console))
  (say-wrapped console (+ f"entropy rate {(get data "entropy_rate") :.4f} nats per token, of what "
                          f"it writes itself; alike: within {(get data "tolerance")}")))

;;; Truth

(defn matrix-lines [data room true]
  "The two tables of transitions, side by side, of as many characters as fit."
  (setv names (get data "transitions" "from")
        left (min 6 (max 4 (max (map cell-len names))))
        many (min (len names) (// (- room (* 2 (+ left 2)) 3) 10))
        cells (fn [row] (if (is row None)
                          (* " " (* 5 many))
                          (.join "" (gfor  p (cut row many)  f"{(* 100 p) :5.1f}"))))
        header (.join "" (gfor  n (cut names many)  (fit (cut n 4) 5 True))))
  [(+ (fit "" left) (fit f" {true}, %" (* 5 many)) "   " (fit "" left) " model, %")
   (+ (fit "" left) header "   " (fit "" left) header)
   #* (lfor  [name t m] (zip (cut names many) (get data "transitions" "true")
                             (get data "transitions" "model"))
             (+ (fit name left True) (cells t) "   " (fit name left True) (cells m)))])

(defn show-truth [data console]
  (heading data console)
  (setv contexts (sorted (get data "contexts")
                         :key (fn [c] (- (* (get c "weight") (get c "kl")))))
        wide (min 18 (max 7 (max (gfor  c contexts  (cell-len (get c "context"))))))
        room (// (- console.width wide 21) 2)
        some (cut contexts MOST-CONTEXTS)
        true (if (= (get data "against") "chain") "true" "counted"))
  (say console (+ (fit "context" wide) "  often %      KL  " (fit f"{true}, %" room) "model, %")
       "bold")
  (for [c some]
    (say console (+ (fit (get c "context") wide) f"  {(* 100 (get c "weight")) :7.2f}"
                    f"  {(get c "kl") :6.4f}  "
                    (fit (expectation (get data "chars") (get c "true") (- room 2)) room)
                    (expectation (get data "chars") (get c "model") (- room 2)))))
  (say-wrapped console f"The contexts at which most is lost, {(len some)} of {(len contexts)}.")
  (say console)
  (for [line (matrix-lines data console.width true)]
    (say console (.rstrip line)))
  (say console)
  (summary data console))

(defn summary [data console]
  "KL in the mean, and what it is measured by."
  (mean-lines data console)
  (when (.get data "by_position")
    (setv by (get data "by_position")
          most (max (gfor  x (get by "loss")  :if (is-not x None)  x)))
    (say console "\nposition     loss    floor" "bold")
    (for [[name loss floor] (zip (get by "positions") (get by "loss") (get by "floor"))]
      (when (is-not loss None)
        (say console (.rstrip (+ f"{name :>8}  {loss :7.4f}  {floor :7.4f}  "
                                 (bar loss most (- console.width 28) floor))))))))

(defn mean-lines [data console]
  "The last lines: the loss as floor and KL, or what counting loses."
  (if (= (get data "against") "chain")
    (say-wrapped console (+ f"loss {(get data "loss") :.4f} = floor {(get data "floor") :.4f} + KL "
                            f"{(get data "kl") :.4f} nats per token"
                            (if (isclose (get data "share") 1 :abs-tol 1e-6)
                              ""
                              f", over the {(percent (get data "share"))} % likeliest contexts")))
    (say-wrapped console (+ f"KL {(get data "kl") :.4f} nats per token, by the last token alone. "
                            (counted data)))))
