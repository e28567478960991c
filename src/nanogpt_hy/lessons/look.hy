"Pictures for lessons, as text: they need no colours and fit any terminal."

(import  nanogpt-hy.lab.console [plain-console]
         nanogpt-hy.lab.inside.attention [attention]
         nanogpt-hy.lab.inside.by-hand [head-by-hand show-by-hand])

(defn visible [char]
  "A character as it can be printed: newlines and blanks get a sign."
  (.get {"\n" "/"  " " "_"} char char))

(defn weights-picture [weights text * [columns None]]
  "(T S) numbers -> text: a row for each character of TEXT, a column for each of COLUMNS, two
  decimals each; what is exactly 0 is left blank."
  (setv rows (if (hasattr weights "tolist") (.tolist weights) weights))
  (.join "\n"
    [(+ "   " (.join "" (gfor  c (or columns text)  f"{(visible c) :>5}")))
     #* (gfor  [c row] (zip text rows)
               (.rstrip (+ f" {(visible c)} "
                           (.join "" (gfor  x row  (if x f"{x :>5.2f}" "     "))))))]))

(defn bars [chances * [width 40]]
  "{name: p} -> text: a bar for each."
  (.join "\n" (gfor  [name p] (.items chances)
                     (.rstrip f" {(visible name) :>3} {p :.3f} {(* "#" (round (* width p)))}"))))

(defn curve [values * [height 8]]
  "[numbers] -> text: a column of signs for each, from 0 up; the scale stands at the left, the first
  and the last number below."
  (setv high   (max [#* values 1e-9])
        levels (lfor  v values  (round (* height (/ v high)))))
  (.join "\n"
    [#* (gfor  h (range height 0 -1)
               (.rstrip (+ f"{(* high (/ h height)) :>7.2f} |"
                           (.join "" (gfor  l levels  (if (>= l h) " #" "  "))))))
     f"         from {(get values 0) :.2f} to {(get values -1) :.2f}"]))

(defn attention-pictures [trained prompt]
  "A Made or Trained model, text -> text: for each layer and head, who listens to whom."
  (setv model (if (hasattr trained "run")
                  #(trained.run.model trained.run.corpus.tokenizer)
                  trained))
  (.join "\n\n"
    (gfor  layer (get (attention model prompt) "layers")
           head (get layer "heads")
           (+ f"layer {(get layer "layer")}, head {(get head "head")}\n"
              (weights-picture (lfor  row (get head "weights")
                                      (lfor  x row  (if (< x 0.005) 0 x)))
                               prompt)))))

(defn by-hand-pictures [trained prompt * [head 1]]
  "Print the tables of attention by hand: q, k, scores, mask, softmax, mix."
  (show-by-hand (head-by-hand trained prompt :head head)
                (plain-console :width 80)))

(defn picture [text]
  "Print a picture."
  (print text))
