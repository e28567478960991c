"Step 2: one long tensor of ids becomes batches of examples."

;; Macros serve while compiling only; so required, none is loaded at run time.
(eval-when-compile
  (require hyrule [ncut]))
(import  torch)

(defn split [ids * [fraction 0.9]]
  "(N) -> (n) (N-n): the first FRACTION, nine of ten, to learn from, the rest to
  see whether that was more than memory."
  (setv n (int (* fraction (len ids))))
  [(cut ids n) (cut ids n None)])

(defn windows [ids starts block-size]
  "(N) (B) -> (B T) (B T): inputs from each start on; their targets are the
  same windows, one token later."
  (setv places (+ (ncut starts : None) (torch.arange block-size)))    ; (B T)
  [(get ids places) (get ids (+ places 1))])

(defn examples [x y]
  "(T) (T) -> T pairs: one window is T examples, since every beginning of it is
  a context of its own. So the model meets contexts of 1 to T tokens, and can
  later start writing from a single one."
  (lfor  t (range (len x))  [(cut x (+ t 1)) (get y t)]))

(defn draw-batch [ids * batch-size block-size [generator None]]
  "(N) -> (B T) (B T): windows from random places, each independent of the
  others."
  (setv starts (torch.randint (- (len ids) block-size) #(batch-size)
                              :generator generator))                   ; (B)
  (windows ids starts block-size))
