"Dropout: off in eval mode, right on average while training, and in its place."

(eval-when-compile
  (require hyrule [ncut]))
(import  math [sqrt]
         torch
         nanogpt-hy.lessons.checks.basics [must repeatable same])

(defn check-modes [layer plain x]
  "LAYER, with dropout, is PLAIN, the same without, in eval mode; in training it is so on average."
  (.eval layer)
  (must (torch.equal (layer x) (layer x))
        "dropout is active in eval mode: a text would be written by half a model")
  (must (same (layer x) (plain x)) "in eval mode, dropout should change nothing at all")
  (.train layer)
  (setv many (layer (.expand x 4,000 -1 -1))
        [spread mean] (torch.std-mean many :dim 0))
  (must (not (same (get many 0) (get many 1))) "no dropout while training: nothing is left out")
  (must (.all (<= (abs (- mean (get (plain x) 0))) (+ 1e-4 (* 6 (/ spread (sqrt 4,000))))))
        (+ "while training the output is not right on average: what dropout keeps has to be "
           "divided by the chance to be kept")))

(defn [repeatable] check-output-dropout [make #* sizes]
  "(make #* sizes :dropout p): the output's numbers are left out while training."
  (setv layer (make #* sizes :dropout 0.3)
        plain (make #* sizes)
        x     (torch.randn 1 4 (get sizes 0)))
  (.load-state-dict plain (.state-dict layer))
  (check-modes layer plain x)
  (setv zeros (.item (.mean (.float (= (layer (.expand x 400 -1 -1)) 0)))))
  (must (not (< 0.46 zeros 0.56))               ; 1 - 0.7 x 0.7
        f"with dropout 0.3, {zeros :.2f} of the outputs are 0: they are dropped twice")
  (must (< 0.25 zeros 0.35)
        f"with dropout 0.3, {zeros :.2f} of the outputs are 0: the last thing it does is dropout"))

(defn [repeatable] check-attention-dropout [make]
  "(Head n-embd head-size :dropout p): shares are left out after softmax, while training."
  (setv head  (make 6 4 :dropout 0.5)
        plain (make 6 4)
        alike (.expand (torch.randn 6) 1 5 6))          ; even shares, and all values the same
  (.load-state-dict plain (.state-dict head))
  (check-modes head plain (* 5 (torch.randn 1 5 6)))
  (setv kept (/ (head (.expand alike 50 -1 -1)) (plain alike))            ; (50 T D)
        tokens (* 0.5 kept (ncut (torch.arange 1 6) : None)))
  (must (same kept (.expand-as (ncut kept ... :1) kept))
        "dropout leaves out single channels of the output: it should leave out whole shares")
  (must (same tokens (.round tokens))
        "what is left is no whole number of shares: dropout comes after softmax, not before"))
