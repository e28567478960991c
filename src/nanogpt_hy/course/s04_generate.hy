"Step 4: a model of the next token writes a text, one draw after the other."

(eval-when-compile
  (require hyrule [-> ncut]))
(import  torch
         torch.nn.functional :as F)

(defn next-logits [model ids * [block-size 0]]
  "(B T) -> (B V): logits of the token after each row. The model is shown the
  last block-size tokens (0: all)."
  (-> (ncut ids : (: (- block-size) None))     ; (B t), and [-0:] is all of it
      model                                    ; (B t V)
      (ncut : -1)))                            ; (B V)

(defn [(torch.no-grad)] generate [model ids count
                                  * [block-size 0] [generator None]]
  "(B T) -> (B T+count): each row goes on with COUNT tokens, drawn with the
  probabilities that the model gives."
  (for [_ (range count)]
    (setv logits (next-logits model ids :block-size block-size)         ; (B V)
          drawn  (torch.multinomial (F.softmax logits :dim -1) 1
                                    :generator generator)               ; (B 1)
          ids    (torch.cat [ids drawn] :dim 1)))
  ids)
