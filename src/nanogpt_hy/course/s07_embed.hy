"Step 7: between ids and logits a token is a vector of n-embd channels, which
leaves room to think.

The vector says what the token is and where it stands. The table of step 3
falls into two: an embedding in, and a linear layer out, the language-model
head. What lies between them, the body, is what all further steps are about."

(eval-when-compile
  (require hyrule [->]
           nanogpt-hy.notation [deflayer]))
(import  torch
         torch.nn :as nn)

(deflayer Embed [vocab-size block-size n-embd]
  "(B T) -> (B T C): a vector for what each token is plus a vector for its
  place, which is the same in all rows."
  [token    (nn.Embedding vocab-size n-embd)
   position (nn.Embedding block-size n-embd)]
  (forward [self ids]
    (setv places (torch.arange (get ids.shape 1) :device ids.device))  ; (T)
    (+ (self.token ids) (self.position places))))          ; (B T C) + (T C)

(deflayer LanguageModel [c make-body]
  "(B T) -> (B T V): embed, let the body think, and read off the logits of the
  next token at every position. The body comes as a function of the config, so
  that its weights are drawn after embed's and before lm-head's."
  [embed   (Embed c.vocab-size c.block-size c.n-embd)
   body    (make-body c)
   lm-head (nn.Linear c.n-embd c.vocab-size)]
  (forward [self ids]
    (-> ids            ; (B T)
        self.embed     ; (B T C)
        self.body      ; (B T C)
        self.lm-head)))
