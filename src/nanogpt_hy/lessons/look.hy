"Pictures for lessons, as text: they need no colours and fit any terminal."

(setv SHADES " .:-=+*#%@")

(defn shade [x low high]
  "a number -> a character, darker the larger it is"
  (if (= low high)
      (get SHADES 0)
      (get SHADES (min 9 (int (* 10 (/ (- x low) (- high low))))))))

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

(defn curve [values * [height 8] [low 0.0] [label "{:.2f}"]]
  "[numbers] -> text: a column of signs for each, from LOW up; the scale stands at the left."
  (setv high (max values)
        level (fn [v] (round (* height (/ (- v low) (- high low)))))
        levels (lfor  v values  (level v)))
  (.join "\n" (gfor  h (range height 0 -1)
                     (.rstrip (+ f"{(.format label (+ low (* (- high low) (/ h height)))) :>7} |"
                                 (.join "" (gfor  l levels  (if (>= l h) " #" "  "))))))))

(defn picture [text]
  "Print a picture."
  (print text))
